"""A sitemap, or an index of sitemaps (https://www.sitemaps.org/protocol.html): the articles among its pages."""

from __future__ import annotations

import io
import re
import zlib
from collections import deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from llmtwin.documents import User, canonical_link
from llmtwin.errors import HttpStatusError, SourceError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard
from llmtwin.sources.listing import Item, crawl_forgotten, crawl_items
from llmtwin.sources.page import Page, Session, fetch
from llmtwin.sources.reading import BEGINNING, crawl_article, xml_root
from llmtwin.sources.source import Crawl, Known, Source, nothing_known

# An index may name 50,000 sitemaps of 50,000 pages each; no author's site has more than these.
MOST_SITEMAPS = 200

_NAME = re.compile(r"(?:[\w-]+-)?sitemap[\w.-]*\.xml(?:\.gz)?")
_ROOTS = {"urlset", "sitemapindex"}
# Pages that only list others, as WordPress, Ghost, Hugo and Jekyll name them; and the front page.
_LISTS = re.compile(r"/?|.*/(?:tags?|categor(?:y|ies)|authors?)(?:/[^/]+)?/?|.*/(?:archives?|page/\d+)/?")
_GZIP = b"\x1f\x8b"


class SitemapSource(Source):
    """A link whose address is that of a sitemap; what turns out to be an article after all is read as one."""

    name = "sitemap"

    def accepts(self, link: str) -> bool:
        parts = guard.web_parts(link)
        return parts is not None and _NAME.fullmatch(PurePosixPath(parts.path.lower()).name) is not None

    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        try:
            page = fetch(link, settings)
        except HttpStatusError as error:
            return crawl_forgotten(link, error, author, settings, known)
        if is_sitemap(page):
            return crawl_page(link, page, author, settings, known)
        return crawl_article(link, page, author, settings)


def is_sitemap(page: Page) -> bool:
    """Return whether an answer is a sitemap or an index of them, by its beginning."""
    packed = page.content.startswith(_GZIP)
    return xml_root(_unpacked(page.content, BEGINNING) if packed else page.content) in _ROOTS


def crawl_page(link: str, page: Page, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
    """Crawl what a sitemap names, what changed last first.

    A site names all its pages, so one without text is skipped, and so are the front page and lists of pages. What was
    read after its ``lastmod`` is not asked for again, as far as its own caching headers allow.
    """
    items = partial(_items, link, page, settings)
    return crawl_items(link, items, author, settings, known, only_articles=False)


def _items(link: str, page: Page, settings: Settings, session: Session) -> Iterator[Item | SourceError]:
    """Yield the pages of a sitemap and of all that it leads to; an error for each of them that cannot be read."""
    queue, seen, too_many = deque([link]), {canonical_link(link)}, False
    while queue:
        address = queue.popleft()
        try:
            answer = page if address == link else session.fetch(address)
            entries = _entries(address, answer, settings.crawl_max_page_bytes)
        except SourceError as error:
            yield error
            continue
        for is_page, location, changed_at in entries:
            if is_page:
                yield Item(location, changed_at=changed_at, skip=_reason_to_skip(location))
            elif (canonical := canonical_link(location)) in seen:
                continue
            elif len(seen) == MOST_SITEMAPS:
                too_many = True
            else:
                seen.add(canonical)
                queue.append(location)
    if too_many:
        yield UnreadableError(link, f"leads to more than {MOST_SITEMAPS} sitemaps; register those that matter")


def _entries(link: str, page: Page, limit: int) -> list[tuple[bool, str, datetime | None]]:
    """Return what a sitemap names, what changed last first: whether it is a page, where it is, when it changed.

    Raises:
        UnreadableError: It is no sitemap, or too large once it is unpacked.
    """
    from lxml import etree

    content = page.content
    if content.startswith(_GZIP):
        content = _unpacked(content, limit + 1)
        if len(content) > limit:
            raise UnreadableError(link, f"is larger than {limit:,} bytes unpacked (LLMTWIN_CRAWL_MAX_PAGE_BYTES)")
    if xml_root(content) not in _ROOTS:
        raise UnreadableError(link, "is no sitemap")
    found = []
    # Entities are left alone, so that none can grow; a sitemap that breaks off is read as far as it goes.
    elements = etree.iterparse(
        io.BytesIO(content), tag=("{*}url", "{*}sitemap"), resolve_entities=False, no_network=True, recover=True
    )
    for _, element in elements:
        location = element.findtext("{*}loc")
        if location and location.strip():
            is_page = etree.QName(element).localname == "url"
            found.append((is_page, location.strip(), _changed_at(element.findtext("{*}lastmod"))))
        element.clear()
    if not found and len(elements.error_log):
        raise UnreadableError(link, f"is a broken sitemap: {elements.error_log[-1].message}")
    return sorted(found, key=lambda entry: entry[2] or datetime.min.replace(tzinfo=UTC), reverse=True)


def _reason_to_skip(location: str) -> str | None:
    try:
        path = urlsplit(location).path
    except ValueError:
        return "no valid link"
    return "a list of pages" if _LISTS.fullmatch(path) else None


def _unpacked(content: bytes, limit: int) -> bytes:
    """Return at most `limit` bytes of what is packed by gzip, as far as it is whole."""
    try:
        return zlib.decompressobj(wbits=31).decompress(content, limit)
    except zlib.error:
        return b""


def _changed_at(lastmod: str | None) -> datetime | None:
    """Return the latest moment that a W3C date and time may mean: a day's end where it names a day only."""
    text = (lastmod or "").strip()
    try:
        if len(text) == len("YYYY-MM-DD"):
            return datetime.combine(date.fromisoformat(text) + timedelta(days=1), time(), UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
