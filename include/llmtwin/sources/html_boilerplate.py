"""What stands in a page that its author did not write, judged by the names that elements have."""

from __future__ import annotations

import re
from typing import Any

_NAVIGATION_TAGS = ("nav", "footer", "aside", "address", "form", "dialog", "menu")
_NAVIGATION_ROLES = ("navigation", "contentinfo", "complementary", "banner", "search", "dialog", "alertdialog", "alert")
# Words between hyphens and underscores in classes and ids; whole words, wherever they stand.
_WORD_OF_A_NAME = r"(?:^|[\s_-])(?:{})(?=$|[\s_-])"
_SURELY = re.compile(
    _WORD_OF_A_NAME.format(
        "cookies?|consent|gdpr|onetrust|newsletter|subscribe|subscription|signup|sign-up|paywall|"
        "comments|commentlist|disqus|giscus|utterances|respond|webmentions?|"
        "related|relatedposts|recommended|recommendations|read-next|readnext|more-posts|"
        "sharing|sharedaddy|breadcrumbs?|pagination|pagenav|post-navigation|navbar|popup|modal|skip-?link|speechify-ignore"
    ),
    re.IGNORECASE,
)
_LIKELY = re.compile(
    _WORD_OF_A_NAME.format(
        "share|social|sns|pager|navigation|menu|sidebar|toc(?!-backref)|table-of-contents|"
        "author-(?:bio|box|card|info)|bio|byline|post-meta|entry-meta|postmeta|title-meta|metadata|meta-data|"
        "tags?|tag-?list|categories|reading-time|posted-on|read-more|"
        "cta|banner|advert|advertisement|ads?|sponsor|promo|promotion|"
        "footer|edit-?(?:this-?)?page|edit-post|last-updated|reactions?|claps?|likes?|copy-button|copybtn"
    ),
    re.IGNORECASE,
)
_NEVER = ("html", "body", "main", "pre", "code", "table", "h1")
_NOTES_OF_THE_AUTHOR = re.compile(r"note|callout|admonition|tip|quote|warning", re.IGNORECASE)
# Of the tree's words. Pages name their bodies, too, after sidebars and tags.
_LARGEST_SHARE = {True: 0.9, False: 0.3}


def drop_boilerplate(tree: Any) -> None:
    """Remove navigation, banners, boxes to subscribe or share, comments and the like.

    What holds a large part of the tree's words is never taken for one of these.
    """
    whole = size(tree)
    for element in list(tree.iterdescendants()):
        if element.getparent() is None or element.tag in _NEVER:
            continue
        certainty = _is_boilerplate(element)
        if certainty is None or next(element.iterancestors("pre", "code", "blockquote"), None) is not None:
            continue
        if size(element) <= _LARGEST_SHARE[certainty] * whole:
            element.drop_tree()


def size(element: Any) -> int:
    """Return how many characters of text there are, spaces left out."""
    return sum(map(len, element.text_content().split()))


def _is_boilerplate(element: Any) -> bool | None:
    """Return True for what surely is, False for what likely is, None for what is no boilerplate."""
    names = f"{element.get('class', '')} {element.get('id', '')} {element.get('role', '')}"
    if element.tag in ("aside", "section", "div") and _NOTES_OF_THE_AUTHOR.search(names):
        return None
    if _SURELY.search(names):
        return True
    if element.tag in _NAVIGATION_TAGS or element.get("role") in _NAVIGATION_ROLES or _LIKELY.search(names):
        return False
    return None
