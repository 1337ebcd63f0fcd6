"""What a page says about itself: its own address, the platform it was published on, and whether it is all there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from llmtwin.documents import canonical_link

MEDIUM = "medium.com"
SUBSTACK = "substack.com"

# A story's address ends with its id, after which Medium's state of the page names it.
_MEDIUM_ID = re.compile(r"(?:-|/)(?P<id>[0-9a-f]{8,12})$")
_FEEDS = (
    "//link[@rel='alternate'][@type='application/rss+xml' or @type='application/atom+xml' "
    "or @type='application/feed+json']/@href"
)
_MEDIUM_STATE = re.compile(r"window\.__APOLLO_STATE__\s*=\s*(?=\{)")


@dataclass(frozen=True)
class Identity:
    """Who a page says it is."""

    link: str
    """Canonical link: what the page declares, else where it was found."""
    platform: str
    """Host name of the platform, also where the page has a domain of its own."""
    is_preview: bool
    """Whether only the beginning is shown to whoever has not paid."""


@dataclass(frozen=True)
class FrontPage:
    """What a site's front page says about the site."""

    platform: str
    """Host name of the platform, also where the site has a domain of its own."""
    feed: str | None
    """The feed it names first."""


def identify(html: str, link: str, url: str) -> Identity:
    """Return who a page says it is.

    Args:
        html: The page.
        link: Where it was asked for, or has moved to for good.
        url: Where redirects ended.
    """
    tree = _parse(html)
    declared = _declared_link(tree, url)
    canonical = declared or canonical_link(link)
    hosts = {_host(url), _host(canonical)}
    if _is_medium(tree, hosts):
        return Identity(canonical, MEDIUM, _is_medium_preview(tree, html, canonical))
    if _is_substack(tree, hosts):
        return Identity(canonical, SUBSTACK, _has(tree, "//*[@data-testid='paywall']"))
    return Identity(canonical, _host(canonical), is_preview=False)


def front_page(html: str, url: str) -> FrontPage:
    """Return what the front page at an address says about its site."""
    tree = _parse(html)
    feeds = [feed for href in (tree.xpath(_FEEDS) if tree is not None else []) if (feed := _absolute(url, href))]
    platform = (
        SUBSTACK if _is_substack(tree, {_host(url)}) else MEDIUM if _is_medium(tree, {_host(url)}) else _host(url)
    )
    return FrontPage(platform, feeds[0] if feeds else None)


def is_front_page(url: str) -> bool:
    """Return whether an address is that of a site as a whole."""
    parts = urlsplit(url)
    return not parts.path.strip("/") and not parts.query


def platform_of(link: str) -> str:
    """Return the platform of a link, by its host alone."""
    host = _host(link)
    return next((platform for platform in (MEDIUM, SUBSTACK) if is_on(host, platform)), host)


def is_on(host: str, platform: str) -> bool:
    """Return whether a host is the platform's own or one below it."""
    return host == platform or host.endswith(f".{platform}")


def _parse(html: str) -> Any | None:
    from lxml import etree
    from lxml.html import HTMLParser, document_fromstring

    try:
        content = html.replace("\0", "").encode("utf-8", "replace")
        return document_fromstring(content, parser=HTMLParser(encoding="utf-8"))
    except etree.ParserError:
        return None


def _declared_link(tree: Any | None, url: str) -> str | None:
    """Return the address the page gives itself; None for none, or one that all pages of a badly set up site share."""
    found = tree.xpath("//link[@rel='canonical']/@href") if tree is not None else []
    declared = _absolute(url, found[0]) if found else None
    if declared is None:
        return None
    return None if is_front_page(declared) and not is_front_page(url) else canonical_link(declared)


def _absolute(base: str, href: str) -> str | None:
    """Return a link of a page as seen from its address; None when it is none of the web."""
    try:
        absolute = urljoin(base, str(href).strip())
        parts = urlsplit(absolute)
    except ValueError:
        return None
    return absolute if parts.scheme in ("http", "https") and parts.hostname else None


def _is_medium(tree: Any | None, hosts: set[str]) -> bool:
    return any(is_on(host, MEDIUM) for host in hosts) or _has(
        tree, "//meta[@property='al:android:package'][@content='com.medium.reader']"
    )


def _is_substack(tree: Any | None, hosts: set[str]) -> bool:
    return any(is_on(host, SUBSTACK) for host in hosts) or _has(
        tree, "//script[contains(@src, '//substackcdn.com/')] | //link[contains(@href, '//substackcdn.com')]"
    )


def _is_medium_preview(tree: Any | None, html: str, link: str) -> bool:
    """Return what Medium's own state of the page says about this story, else what it declares to search engines."""
    story, state = _MEDIUM_ID.search(urlsplit(link).path), _MEDIUM_STATE.search(html)
    if story and state:
        try:
            posts, _ = json.JSONDecoder().raw_decode(html, state.end())
        except (ValueError, RecursionError):
            posts = {}
        post = posts.get(f"Post:{story['id']}")
        parts = [post, *post.values()] if isinstance(post, dict) else []
        verdicts = [part["isLockedPreviewOnly"] for part in parts if _says_preview_or_not(part)]
        if verdicts:
            return any(verdicts)
    return _is_declared_paid(tree)


def _says_preview_or_not(part: object) -> bool:
    return isinstance(part, dict) and "isLockedPreviewOnly" in part


def _is_declared_paid(tree: Any | None) -> bool:
    """Return whether the page's JSON-LD says that its main text is not free (schema.org's `isAccessibleForFree`)."""
    for block in tree.xpath("//script[@type='application/ld+json']/text()") if tree is not None else ():
        try:
            declared = json.loads(block)
        except (ValueError, RecursionError):
            continue
        if isinstance(declared, dict) and declared.get("isAccessibleForFree") in (False, "False", "false"):
            return True
    return False


def _has(tree: Any | None, xpath: str) -> bool:
    return tree is not None and bool(tree.xpath(xpath))


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""
