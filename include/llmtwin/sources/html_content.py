"""Where the article of a page is, and what stands in it that the author did not write."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

_NAVIGATION_TAGS = ("nav", "footer", "aside", "form", "dialog", "menu")
_NAVIGATION_ROLES = ("navigation", "contentinfo", "complementary", "banner", "search", "dialog", "alertdialog", "alert")
# Words between hyphens and underscores in classes and ids; whole words, wherever they stand.
_WORD_OF_A_NAME = r"(?:^|[\s_-])(?:{})(?=$|[\s_-])"
_SURELY_BOILERPLATE = re.compile(
    _WORD_OF_A_NAME.format(
        "cookies?|consent|gdpr|onetrust|newsletter|subscribe|subscription|signup|sign-up|paywall|"
        "comments|commentlist|disqus|giscus|utterances|respond|webmentions?|"
        "related|relatedposts|recommended|recommendations|read-next|readnext|more-posts|"
        "sharing|sharedaddy|breadcrumbs?|pagination|pagenav|post-navigation|navbar|popup|modal|skip-?link"
    ),
    re.IGNORECASE,
)
_LIKELY_BOILERPLATE = re.compile(
    _WORD_OF_A_NAME.format(
        "share|social|sns|pager|navigation|menu|sidebar|toc|table-of-contents|"
        "author-(?:bio|box|card|info)|bio|byline|post-meta|entry-meta|postmeta|metadata|meta-data|"
        "tags?|tag-?list|categories|reading-time|posted-on|read-more|"
        "cta|banner|advert|advertisement|ads|sponsor|promo|promotion|"
        "footer|edit-?(?:this-?)?page|edit-post|last-updated|reactions?|claps?|likes?|copy-button|copybtn"
    ),
    re.IGNORECASE,
)
_NEVER_BOILERPLATE = ("html", "body", "main", "pre", "code", "table", "h1")
_NOTES_OF_THE_AUTHOR = re.compile(r"note|callout|admonition|tip|quote|warning", re.IGNORECASE)
# Where themes and platforms say that an article is; the first that is there and holds text counts.
_DECLARED = (
    "//*[@itemprop='articleBody' or @property='articleBody']",
    "//*[contains(concat(' ', @class, ' '), ' e-content ')]",
    "//*[contains(concat(' ', @class, ' '), ' available-content ')]",
    "//*[contains(concat(' ', @class, ' '), ' gh-content ') or contains(concat(' ', @class, ' '), ' gh-post-content ')]",
    "//*[contains(concat(' ', @class, ' '), ' entry-content ')]",
    "//*[contains(concat(' ', @class, ' '), ' post-content ') or contains(concat(' ', @class, ' '), ' post__content ')]",
    "//*[contains(concat(' ', @class, ' '), ' post-body ') or contains(concat(' ', @class, ' '), ' post-full-content ')]",
    "//*[contains(concat(' ', @class, ' '), ' article-content ') or contains(concat(' ', @class, ' '), ' article-body ')]",
    "//*[@id='article-body' or @id='post-content-wrapper' or @id='quarto-document-content']",
    "//*[contains(concat(' ', @class, ' '), ' theme-doc-markdown ') or contains(concat(' ', @class, ' '), ' page-body ')]",
    "//*[@role='main']//*[contains(concat(' ', @class, ' '), ' body ') or @itemprop='articleBody']",
    "//main//article | //*[@role='main']//article",
    "//article",
)
_FEWEST_CHARACTERS = 60
_LARGEST_SHARE = {True: 0.9, False: 0.3}


def drop_boilerplate(tree: Any) -> None:
    """Remove navigation, banners, boxes to subscribe or share, comments and the like, judged by their names.

    What holds a large part of the tree's words is never taken for one of these: pages name their bodies, too, after
    sidebars and tags.
    """
    whole = _size(tree)
    for element in list(tree.iterdescendants()):
        if element.getparent() is None or element.tag in _NEVER_BOILERPLATE:
            continue
        certainty = _boilerplate(element)
        if certainty is None or any(True for _ in element.iterancestors("pre", "code")):
            continue
        if _size(element) <= _LARGEST_SHARE[certainty] * whole:
            element.drop_tree()


def _boilerplate(element: Any) -> bool | None:
    """Return True for what surely is, False for what likely is, None for what is no boilerplate."""
    names = f"{element.get('class', '')} {element.get('id', '')} {element.get('role', '')}"
    if element.tag in ("aside", "section", "div") and _NOTES_OF_THE_AUTHOR.search(names):
        return None
    if _SURELY_BOILERPLATE.search(names):
        return True
    if element.tag in _NAVIGATION_TAGS or element.get("role") in _NAVIGATION_ROLES or _LIKELY_BOILERPLATE.search(names):
        return False
    return None


def article(tree: Any) -> Any:
    """Return the element that holds the article of a page."""
    for path in _DECLARED:
        found = [element for element in tree.xpath(path) if _size(element) >= _FEWEST_CHARACTERS]
        if found:
            return max(found, key=_size)
    return voted(tree)


def voted(tree: Any) -> Any:
    """Return the smallest element around nearly all of what trafilatura takes for the article."""
    import trafilatura

    found = trafilatura.bare_extraction(
        deepcopy(tree), output_format="python", include_comments=False, with_metadata=False
    )
    text = " ".join(found.text.split()) if found and found.text else ""
    if not text:
        return tree
    votes: dict[Any, int] = {}
    total = 0
    for block in tree.iter("p", "li", "pre", "blockquote", "h2", "h3", "h4", "td", "div"):
        if block.tag in ("div", "li", "td", "blockquote") and block.find(".//p") is not None:
            continue
        words = " ".join(block.text_content().split())
        if len(words) < 20 or words[:60] not in text:
            continue
        total += len(words)
        for element in block.iterancestors():
            votes[element] = votes.get(element, 0) + len(words)
    holding = [element for element, size in votes.items() if size >= 0.9 * total]
    return min(holding, key=_size, default=tree)


def _size(element: Any) -> int:
    """Return how many characters of text there are, spaces left out."""
    return sum(map(len, element.text_content().split()))
