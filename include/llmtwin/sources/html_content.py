"""Where the article of a page is, and what stands in it that the author did not write."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

_NAVIGATION_TAGS = ("nav", "footer", "aside", "form", "dialog", "menu")
_NAVIGATION_ROLES = ("navigation", "contentinfo", "complementary", "banner", "search", "dialog", "alertdialog", "alert")
# Words between hyphens and underscores in classes and ids; whole words, wherever they stand.
_BOILERPLATE = re.compile(
    r"(?:^|[\s_-])(?:"
    r"cookies?|consent|gdpr|onetrust|newsletter|subscribe|subscription|subscribers?|signup|sign-up|paywall|"
    r"comments?|commentlist|disqus|giscus|utterances|respond|webmentions?|"
    r"related|relatedposts|recommended|recommendations?|read-next|readnext|read-more|more-posts|you-may-also-like|"
    r"shar(?:e|ing|edaddy)|social|sns|"
    r"breadcrumbs?|pagination|pager|pagenav|post-navigation|navbar|navigation|menu|sidebar|toc|table-of-contents|"
    r"author-(?:bio|box|card|info)|bio|byline|post-meta|entry-meta|post-header-meta|metadata|postmeta|meta-data|"
    r"tags?|tag-?list|taglist|categories|post-tags|reading-time|posted-on|"
    r"cta|banner|popup|modal|advert|advertisement|ads|sponsor|promo|promotion|"
    r"footer|skip-?link|edit-?(?:this-?)?page|edit-post|last-updated|reactions?|claps?|likes?|copy-button|copybtn"
    r")(?=$|[\s_-])",
    re.IGNORECASE,
)
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
_LARGEST_SHARE = 0.4


def drop_boilerplate(tree: Any) -> None:
    """Remove navigation, banners, boxes to subscribe or share, comments and the like, judged by their names.

    What holds a large part of the tree's words is never taken for one of these: pages name their bodies, too, after
    sidebars and tags.
    """
    largest = _LARGEST_SHARE * _size(tree)
    for element in list(tree.iterdescendants()):
        if (
            element.getparent() is None
            or not isinstance(element.tag, str)
            or element.tag in ("body", "pre", "code", "table")
        ):
            continue
        if (
            _is_boilerplate(element)
            and _size(element) <= largest
            and next(element.iterancestors("pre", "code"), None) is None
        ):
            element.drop_tree()


def _is_boilerplate(element: Any) -> bool:
    names = f"{element.get('class', '')} {element.get('id', '')}"
    if element.tag in ("aside", "section", "div") and _NOTES_OF_THE_AUTHOR.search(f"{names} {element.get('role', '')}"):
        return False
    if element.tag in _NAVIGATION_TAGS or element.get("role") in _NAVIGATION_ROLES:
        return True
    return bool(names.strip() and _BOILERPLATE.search(names))


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
