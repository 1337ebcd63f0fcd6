"""Crawling a list of pages: what a feed, a sitemap or an archive names, and what it named once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from llmtwin.documents import RawArticle, User, canonical_link
from llmtwin.errors import (
    HttpStatusError,
    LoginWallError,
    PreviewError,
    RobotsError,
    ScriptedPageError,
    SourceError,
    UnreachableError,
    UnreadableError,
)
from llmtwin.settings import Settings
from llmtwin.sources import html, platforms
from llmtwin.sources.page import TRANSIENT_STATUSES, Session
from llmtwin.sources.reading import web_article
from llmtwin.sources.source import Crawl, Known, article, nothing_known

# So many pages of a host in a row without an answer, and it is left alone until the next crawl.
PATIENCE = 5
_GONE = (404, 410)


@dataclass(frozen=True)
class Item:
    """A page that a list names."""

    link: str
    title: str | None = None
    published_at: datetime | None = None
    changed_at: datetime | None = None
    """When the page last changed, where the list says so."""
    html: str | None = None
    """The whole text, where the list carries it."""
    skip: str | None = None
    """Why it is left out, where the list alone says so."""


# Called with the session of the crawl, to ask for the parts of the list itself.
Items = Callable[[Session], Iterable[Item | SourceError]]


def title(value: object) -> str | None:
    """Return what a list gives as a title, as text that can be stored; None when it is none."""
    # JSON can spell half a character, and XML that is not well-formed a NUL.
    text = value.replace("\0", "").encode("utf-8", "replace").decode().strip() if isinstance(value, str) else ""
    return text or None


def moment(value: object) -> datetime | None:
    """Return what a list gives as a moment in ISO 8601, in UTC, also where it names no zone; None when it is none."""
    try:
        found = datetime.fromisoformat(str(value))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def crawl_items(
    link: str,
    items: Items,
    author: User,
    settings: Settings,
    known: Known = nothing_known,
    *,
    only_articles: bool = True,
) -> Crawl:
    """Crawl the pages that a list names, then those it named before and no longer does.

    Each page counts for what it is: if it cannot be read while the list carries its whole text, that is taken; if only
    its beginning is shown, or robots.txt asks to keep away, it is skipped, and what an earlier crawl stored is kept; if
    it is gone (404, 410) and was known, it is not yielded. Pages beyond `settings.crawl_max_pages` are skipped.

    Args:
        link: Where the list is.
        items: Gives the items, newest first, read as the crawl goes on. An error among them is a part of the list that
            failed.
        author: Who wrote the pages.
        settings: Limits, and what may be reached.
        known: What earlier crawls stored.
        only_articles: Whether each page ought to be one, so that one without text is a failure.
    """
    crawl = Crawl(canonical_link(link))
    crawl.documents = _Listing(crawl, author, settings, known(crawl.source_link), only_articles).documents(link, items)
    return crawl


def crawl_forgotten(
    link: str, error: HttpStatusError, author: User, settings: Settings, known: Known = nothing_known
) -> Crawl:
    """Crawl what a list named while it was there: that the list is gone does not mean that its pages are.

    Raises:
        HttpStatusError: The list is not gone (404, 410), or named nothing that is known.
    """
    if error.status not in _GONE or not known(canonical_link(link)):
        raise error
    return crawl_items(link, lambda _: [error], author, settings, known)


@dataclass
class _Listing:
    """A crawl of a list, in progress."""

    crawl: Crawl
    author: User
    settings: Settings
    known: Mapping[str, str]
    only_articles: bool
    settled: set[str] = field(default_factory=set)
    """Links of documents about which nothing more is to be found out."""
    plain_hosts: set[str] = field(default_factory=set)
    """Hosts, with ports, that the list names by http."""
    without_answer: Counter[str] = field(default_factory=Counter)
    """Pages in a row that could not be reached, by host."""

    def documents(self, link: str, items: Items) -> Iterator[RawArticle]:
        self._note_scheme(link)
        with Session(self.settings) as session:
            for item in self._within_bounds(items(session)):
                if (document := self._read(session, item)) is not None:
                    yield document
            for forgotten in sorted(self.known):
                if forgotten not in self.settled and (document := self._read_again(session, forgotten)) is not None:
                    yield document
        self.crawl.complete = True

    def _within_bounds(self, items: Iterable[Item | SourceError]) -> Iterator[Item]:
        limit, seen = self.settings.crawl_max_pages, set[str]()
        for item in items:
            if isinstance(item, SourceError):
                self.crawl.failures.append(item)
                continue
            canonical = canonical_link(item.link)
            if item.skip is not None:
                self.crawl.skipped[item.skip] += 1
            elif canonical in seen:
                self.crawl.skipped["duplicate"] += 1
            elif len(seen) >= limit:
                self.crawl.skipped[f"beyond the first {limit:,} (LLMTWIN_CRAWL_MAX_PAGES)"] += 1
            else:
                seen.add(canonical)
                self._note_scheme(item.link)
                yield item

    def _read(self, session: Session, item: Item) -> RawArticle | None:
        """Return the article of an item, or None when it is skipped, or has failed."""
        document = self._article(session, item, canonical_link(item.link))
        if document is None:
            return None
        if document.link in self.settled:
            self.crawl.skipped["duplicate"] += 1
            return None
        self.settled.add(document.link)
        return document

    def _read_again(self, session: Session, link: str) -> RawArticle | None:
        """Return an article that the list no longer names, if it has changed."""
        document = self._article(session, Item(self._reachable(link)), link)
        if document is None or document.link in self.settled:  # or it has moved to where the list names it
            return None
        self.settled.add(document.link)
        if document.link == link and document.content_hash == self.known[link]:
            # Not yielded, because title and date that the list once gave may not be on the page.
            self.crawl.unchanged.add(link)
            return None
        return document

    def _article(self, session: Session, item: Item, link: str) -> RawArticle | None:
        """Return the article of an item; None when there is none, which is then on record under its canonical link.

        Raises:
            UnreachableError: It is not the page alone: the list's own host does not answer any more.
        """
        host = _host(link)
        try:
            if self.without_answer[host] == PATIENCE:
                raise UnreachableError(link, f"{host} did not answer for {PATIENCE} pages in a row, and was left alone")
            document = self._on_page(session, item)
        except SourceError as error:
            self._settle(error, link)
            self._count_without_answer(error, host)
            return None
        del self.without_answer[host]
        return document.model_copy(
            update={
                "title": document.title or item.title,
                "published_at": document.published_at or item.published_at,
            }
        )

    def _on_page(self, session: Session, item: Item) -> RawArticle:
        try:
            page = session.fetch(item.link, item.changed_at)
            # A text that the list carries is there without a browser.
            settings = None if item.html else self.settings
            return web_article(item.link, page, self.author, settings, self.crawl.source_link)
        except PreviewError:
            raise
        except (LoginWallError, UnreadableError):
            if not item.html:
                raise
        link = canonical_link(item.link)
        return article(
            link,
            html.fragment(item.html, item.link),
            author=self.author,
            platform=platforms.platform_of(link),
            source_link=self.crawl.source_link,
        )

    def _settle(self, error: SourceError, link: str) -> None:
        self.settled.add(link)
        is_known = link in self.known
        if reason := self._reason_to_skip(error, is_known):
            self.crawl.skipped[reason] += 1
            if is_known:
                self.crawl.unchanged.add(link)  # it is still there; what was stored is kept
        elif not (is_known and isinstance(error, HttpStatusError) and error.status in _GONE):
            error.link = link  # by which what is stored of it is protected
            self.crawl.failures.append(error)

    def _reason_to_skip(self, error: SourceError, is_known: bool) -> str | None:
        if isinstance(error, PreviewError):
            return "for members or subscribers only"
        if isinstance(error, RobotsError):
            return "robots.txt"
        is_without_text = isinstance(error, UnreadableError) and not isinstance(error, ScriptedPageError)
        return "no text" if is_without_text and not is_known and not self.only_articles else None

    def _count_without_answer(self, error: SourceError, host: str) -> None:
        if isinstance(error, UnreachableError) or (
            isinstance(error, HttpStatusError) and error.status in TRANSIENT_STATUSES
        ):
            self.without_answer[host] = min(self.without_answer[host] + 1, PATIENCE)
        else:
            del self.without_answer[host]
        if self.without_answer[host] == PATIENCE and host == _host(self.crawl.source_link):
            raise UnreachableError(
                self.crawl.source_link,
                f"{PATIENCE} pages in a row had no answer, so the rest is left for the next crawl; the last: {error}",
            )

    def _note_scheme(self, link: str) -> None:
        scheme, _, rest = link.strip().partition("://")
        if scheme.lower() == "http":
            self.plain_hosts.add(rest.partition("/")[0].lower())

    def _reachable(self, link: str) -> str:
        """Return where to ask for a canonical link, which says https even of a site that has only http."""
        rest = link.removeprefix("https://")
        return f"http://{rest}" if rest.partition("/")[0] in self.plain_hosts else link


def _host(link: str) -> str:
    """Return the host and port of a canonical link."""
    return link.partition("://")[2].partition("/")[0]
