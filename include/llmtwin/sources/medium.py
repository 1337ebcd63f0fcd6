"""Medium: the stories of an author or a publication, by the feed that Medium keeps of each.

A single story, on whatever domain, is an article; `platforms` tells that it is Medium's. The feed names the ten newest:
older ones come with the author's export, or by their own addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from llmtwin.documents import User, user_id
from llmtwin.errors import HttpStatusError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import feed, guard, platforms
from llmtwin.sources.listing import crawl_forgotten
from llmtwin.sources.page import fetch
from llmtwin.sources.source import Crawl, Known, Source, nothing_known

_OWN_PAGES = {"about", "business", "jobs-at-medium", "m", "me", "membership", "p", "plans", "search", "tag", "topics"}


class MediumSource(Source):
    """The page of an author (``medium.com/@name``, ``name.medium.com``) or of a publication (``medium.com/name``)."""

    name = "medium"

    def accepts(self, link: str) -> bool:
        return _feed_link(link) is not None

    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        feed_link = _feed_link(link) or link
        try:
            page = fetch(feed_link, settings)
        except HttpStatusError as error:
            return crawl_forgotten(link, error, author, settings, known)
        if not feed.is_feed(page):
            raise UnreadableError(link, f"Medium gives no feed of it at {feed_link}")

        def by_another(entry: Mapping[str, Any]) -> str | None:
            written_by = str(entry.get("author", "")).strip()
            is_other = written_by and user_id(written_by) != author.id
            return f"by another author than {author.full_name}" if is_other else None

        skip = feed.skip_nothing if _is_of_one_author(feed_link) else by_another
        return feed.crawl_page(link, page, author, settings, known, skip)


def _feed_link(link: str) -> str | None:
    """Return where the feed of an author or a publication is; None when the link is of neither."""
    parts = guard.web_parts(link)
    host = (parts.hostname or "").rstrip(".") if parts else ""
    if parts is None or not platforms.is_on(host, platforms.MEDIUM):
        return None
    segments = [segment for segment in parts.path.split("/") if segment]
    if host in (platforms.MEDIUM, f"www.{platforms.MEDIUM}"):
        if segments[:1] == ["feed"]:
            segments = segments[1:]
        if len(segments) != 1 or segments[0].lower() in _OWN_PAGES:
            return None
        return parts._replace(path=f"/feed/{segments[0]}", query="", fragment="").geturl()
    if segments not in ([], ["feed"]):
        return None
    return parts._replace(path="/feed", query="", fragment="").geturl()


def _is_of_one_author(feed_link: str) -> bool:
    path = urlsplit(feed_link).path
    return path == "/feed" or path.startswith("/feed/@")
