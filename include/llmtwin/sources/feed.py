"""A feed: RSS, Atom or JSON Feed. The articles on the pages it names."""

from __future__ import annotations

import io
import json
import re
import sys
from calendar import timegm
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urljoin

from llmtwin.documents import User
from llmtwin.errors import HttpStatusError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard
from llmtwin.sources.listing import Item, crawl_forgotten, crawl_items, moment, title
from llmtwin.sources.page import Page, fetch
from llmtwin.sources.reading import BEGINNING, crawl_article, xml_root
from llmtwin.sources.source import Crawl, Known, Source, nothing_known

_NAMES = {"feed", "rss", "atom", "feed.xml", "rss.xml", "atom.xml", "index.xml", "feed.json", "index.rdf", "feed.atom"}
_SUFFIXES = (".rss", ".atom")
_TYPES = {"application/rss+xml", "application/atom+xml", "application/rdf+xml", "application/feed+json"}
_ROOTS = {"rss", "feed", "RDF"}
_JSON_FEED = re.compile(rb'\A\s*\{.{0,2000}?"version"\s*:\s*"https?:\\?/\\?/jsonfeed\.org\\?/', re.DOTALL)
# What platforms put where they leave the rest of a text out of the feed.
_CUT_OFF = re.compile(r'class="medium-feed-snippet"|<a [^>]*>\s*Read more\s*</a>\s*(?:</p>\s*)*\Z')

_CHARACTER = re.compile(rb"&#(?:[xX]0*([0-9a-fA-F]{1,1000})|0*([0-9]{1,1000}));")

# Called with an entry as feedparser gives it.
ReasonToSkip = Callable[[Mapping[str, Any]], str | None]


def skip_nothing(_: Mapping[str, Any]) -> str | None:
    """Return no reason to skip an entry."""
    return None


class FeedSource(Source):
    """A link whose address is that of a feed; what turns out to be an article after all is read as one."""

    name = "feed"

    def accepts(self, link: str) -> bool:
        parts = guard.web_parts(link)
        name = PurePosixPath(parts.path.lower()).name if parts else ""
        return name in _NAMES or name.endswith(_SUFFIXES)

    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        try:
            page = fetch(link, settings)
        except HttpStatusError as error:
            return crawl_forgotten(link, error, author, settings, known)
        if is_feed(page):
            return crawl_page(link, page, author, settings, known)
        return crawl_article(link, page, author, settings)


def is_feed(page: Page) -> bool:
    """Return whether an answer is a feed, by its type or its beginning."""
    is_json = _JSON_FEED.match(page.content[:BEGINNING]) is not None
    return page.content_type in _TYPES or xml_root(page.content) in _ROOTS or is_json


def crawl_page(
    link: str,
    page: Page,
    author: User,
    settings: Settings,
    known: Known = nothing_known,
    reason_to_skip: ReasonToSkip = skip_nothing,
) -> Crawl:
    """Crawl what a feed names, except for entries that there is a reason to skip.

    The text of an article is that of its page. Where the page cannot be read, what the feed carries is taken, provided
    that it is the whole text: a summary is not.

    Raises:
        UnreadableError: It is no feed, or so broken that it has no entries.
    """
    items = _items(link, page, reason_to_skip)
    return crawl_items(link, lambda _: items, author, settings, known)


def _items(link: str, page: Page, reason_to_skip: ReasonToSkip) -> Iterator[Item]:
    if page.content.lstrip()[:1] == b"{":
        return _items_of_json(link, page)
    return _items_of_xml(link, page, reason_to_skip)


def _items_of_xml(link: str, page: Page, reason_to_skip: ReasonToSkip) -> Iterator[Item]:
    import feedparser

    content_type = "application/xml" if page.charset is None else f"application/xml; charset={page.charset}"
    try:
        parsed = feedparser.parse(
            io.BytesIO(_CHARACTER.sub(_real_character, page.content)),  # bytes alone might be taken for a file's name
            response_headers={"content-location": page.url, "content-type": content_type},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except (ArithmeticError, LookupError, ValueError) as error:  # as its loose parser stumbles over broken markup
        raise UnreadableError(link, f"is a broken feed: {type(error).__name__}: {error}") from error
    if not parsed.entries and (parsed.bozo or not parsed.get("version")):
        raise UnreadableError(link, f"is a broken feed: {parsed.get('bozo_exception') or 'it is empty'}")
    return _entries(deque(parsed.entries), page.url, reason_to_skip)


def _real_character(reference: re.Match[bytes]) -> bytes:
    """Return a reference to a character as it is; nothing for half an emoji, a NUL, or a number without a character."""
    hexadecimal, decimal = reference.groups()
    number = int(hexadecimal, 16) if hexadecimal else int(decimal)
    return reference[0] if 0 < number < 0xD800 or 0xDFFF < number <= sys.maxunicode else b""


def _entries(entries: deque[Any], base: str, reason_to_skip: ReasonToSkip) -> Iterator[Item]:
    while entries:
        entry = entries.popleft()  # and with it goes the memory of its text
        contents = [part.value for part in entry.get("content", ()) if "html" in part.get("type", "")]
        link = _absolute(base, entry.get("link"))
        yield Item(
            link=link,
            title=title(entry.get("title")),
            published_at=_moment(_date(entry)),
            html=_whole(max(contents, key=len, default=None)),
            skip=reason_to_skip(entry) if link else "without a link",
        )


def _items_of_json(link: str, page: Page) -> Iterator[Item]:
    """Yield the items of a JSON Feed (https://www.jsonfeed.org/version/1.1/)."""
    try:
        entries = json.loads(page.content).get("items", [])
    except (ValueError, RecursionError) as error:
        raise UnreadableError(link, f"is a broken feed: {error}") from error
    if not isinstance(entries, list):
        raise UnreadableError(link, "is a broken feed: its items are no list")
    return (_json_item(entry, page.url) for entry in entries if isinstance(entry, dict))


def _json_item(entry: dict[str, Any], base: str) -> Item:
    link = _absolute(base, _text(entry, "url"))
    return Item(
        link=link,
        title=title(entry.get("title")),
        published_at=moment(entry.get("date_published")),
        html=_whole(_text(entry, "content_html")),
        skip=None if link else "without a link",
    )


def _text(entry: dict[str, Any], name: str) -> str | None:
    value = entry.get(name)
    return value if isinstance(value, str) and value.strip() else None


def _absolute(base: str, link: str | None) -> str:
    """Return a link as seen from the feed; empty when the entry has none, as it is when it is no valid one."""
    if not link or not link.strip():
        return ""
    try:
        return urljoin(base, link.strip())
    except ValueError:
        return link


def _whole(html: str | None) -> str | None:
    return None if html is None or _CUT_OFF.search(html) else html


def _date(entry: Any) -> Any:
    # Asked for a date of change that an entry does not have, feedparser would warn, and give the other.
    return entry.get("published_parsed") or (entry.get("updated_parsed") if "updated_parsed" in entry else None)


def _moment(parsed: Any) -> datetime | None:
    """Return the moment of feedparser's `struct_time`, which is in UTC."""
    try:
        return datetime.fromtimestamp(timegm(parsed), UTC) if parsed else None
    except (ValueError, OverflowError, OSError):
        return None
