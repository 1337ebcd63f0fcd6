"""Substack: all posts of a publication, by the archive that its own front page pages through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urljoin

from llmtwin.documents import User
from llmtwin.errors import ForbiddenLinkError, HttpStatusError, SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import feed, guard, platforms
from llmtwin.sources.listing import Item, crawl_forgotten, crawl_items, moment, title
from llmtwin.sources.page import Session, fetch
from llmtwin.sources.source import Crawl, Known, Source, nothing_known

# As many as Substack's own pages ask for; it gives fewer than were asked for whenever it likes.
_PER_PAGE = 12
_FOR_PAYING = {"only_paid", "founding"}
_TYPES_WITHOUT_TEXT = {"podcast", "thread", "video"}
_FRONTS = ("", "/archive")


class SubstackSource(Source):
    """A publication (``name.substack.com``). A single post is an article, and a feed is a feed."""

    name = "substack"

    def accepts(self, link: str) -> bool:
        parts = guard.web_parts(link)
        if parts is None or parts.path.rstrip("/") not in _FRONTS:
            return False
        name, _, platform = (parts.hostname or "").rstrip(".").partition(".")
        return platform == platforms.SUBSTACK and name not in ("www", "open")

    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        return crawl_publication(link, link, author, settings, known)


def crawl_publication(link: str, url: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
    """Crawl the archive of a publication; its feed, which names the newest posts only, where the archive is refused.

    Posts for paying subscribers and those without text (podcasts, threads) are skipped.

    Args:
        link: What was registered.
        url: The publication's front page, on whichever domain.
        author: Who wrote the posts.
        settings: Limits, and what may be reached.
        known: What earlier crawls stored.

    Raises:
        SourceError: Neither archive nor feed can be read.
    """
    try:
        first = _posts(url, fetch(_archive_link(url, 0), settings).content)
    except (ForbiddenLinkError, UnreachableError):
        raise
    except SourceError:
        try:
            page = fetch(urljoin(url, "/feed"), settings)
        except HttpStatusError as error:
            return crawl_forgotten(link, error, author, settings, known)
        return feed.crawl_page(link, page, author, settings, known)
    return crawl_items(link, partial(_items, url, first, settings.crawl_max_pages), author, settings, known)


def _items(url: str, posts: list[dict[str, Any]], enough: int, session: Session) -> Iterator[Item | SourceError]:
    """Yield the posts of the archive, page by page, until a page brings nothing new."""
    seen: set[str] = set()
    offset = 0
    while new := [item for item in map(partial(_item, url), posts) if item.link not in seen]:
        yield from new
        seen.update(item.link for item in new)
        offset += len(posts)
        if offset > enough:
            return
        address = _archive_link(url, offset)
        try:
            posts = _posts(address, session.fetch(address).content)
        except SourceError as error:
            yield error
            return


def _archive_link(url: str, offset: int) -> str:
    return urljoin(url, f"/api/v1/archive?sort=new&search=&offset={offset}&limit={_PER_PAGE}")


def _posts(address: str, content: bytes) -> list[dict[str, Any]]:
    """Return a page of the archive.

    Raises:
        UnreadableError: It is none.
    """
    try:
        posts = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(address, f"is no page of a Substack archive: {error}") from error
    if not isinstance(posts, list) or not all(isinstance(post, dict) for post in posts):
        raise UnreadableError(address, "is no page of a Substack archive: no list of posts")
    return posts


def _item(url: str, post: dict[str, Any]) -> Item:
    link = post.get("canonical_url") or urljoin(url, f"/p/{post.get('slug', '')}")
    kind = str(post.get("type", ""))
    skip = kind if kind in _TYPES_WITHOUT_TEXT else None
    if post.get("audience") in _FOR_PAYING:
        skip = "for members or subscribers only"
    return Item(str(link), title(post.get("title")), moment(post.get("post_date")), skip=skip)
