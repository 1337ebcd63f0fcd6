"""LinkedIn: the posts of a profile, read in a real browser that is logged in as the profile's owner.

It is meant for one's own profile with one's own login. LinkedIn has no feed and shows nothing of a profile's activity
to strangers; where it asks for more than a password, a person logs in once by hand, or imports LinkedIn's data export.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from llmtwin.documents import RawPost, User
from llmtwin.errors import SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import browser
from llmtwin.sources.browser import SavedSession
from llmtwin.sources.linkedin_pages import MARKUP_CHANGED, Activity, LinkedInPages
from llmtwin.sources.source import Crawl, Known, Source, nothing_known, post

_PROFILE = re.compile(r"https?://(?:[\w-]+\.)?linkedin\.com/in/(?P<name>[^/?#]+)", re.IGNORECASE)
_ACTOR = re.compile(r"/in/(?P<name>[^/?#]+)")
_URN = re.compile(r"urn:li:(?:activity|share|ugcPost):(?P<id>\d+)")


class LinkedInSource(Source):
    """A profile, https://www.linkedin.com/in/<name>: the owner's own posts, and re-shares with words of their own.

    Args:
        base_url: Where LinkedIn is.
        patience_seconds: How long the end of the list must look like its end.
    """

    name = "linkedin"

    def __init__(self, base_url: str = "https://www.linkedin.com", patience_seconds: float = 3.0) -> None:
        self._base_url = base_url
        self._patience_seconds = patience_seconds

    def accepts(self, link: str) -> bool:
        return _PROFILE.match(link.strip()) is not None

    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        profile = _PROFILE.match(link.strip())
        if profile is None:
            raise UnreadableError(link, "is no LinkedIn profile; one looks like https://www.linkedin.com/in/name")
        name = _spelled(profile["name"])
        activity = browser.run(self._read(link, name, settings))
        crawl = Crawl(f"https://www.linkedin.com/in/{quote(name)}")
        # The page may know the profile by another name than the link, which it is then led from.
        names = {name, *(_spelled(found["name"]) for found in _ACTOR.finditer(activity.path))}
        own = {urn: item for urn, item in activity.items.items() if _written_by(item["actor"], names)}
        if activity.items and not own:
            raise UnreadableError(
                link,
                f"shows {len(activity.items)} posts, none of them by {name!r}; register the profile under the address "
                f"that its own page shows, or {MARKUP_CHANGED}",
            )
        if others := len(activity.items) - len(own):
            crawl.skipped["written by others"] = others
        crawl.documents = iter(_posts(crawl, activity, own, author))
        for urn in activity.seen:
            if urn not in activity.items:
                link = permalink(activity.shares.get(urn, urn))
                crawl.failures.append(UnreadableError(link, f"could not be unfolded or read; {MARKUP_CHANGED}"))
        if activity.ended == "stuck":
            reason = f"the list stopped loading after {len(activity.items)} items; older posts were not seen"
            crawl.failures.append(UnreachableError(crawl.source_link, reason))
        if activity.ended == "bound":
            crawl.skipped["older than LLMTWIN_LINKEDIN_MAX_SCROLLS reaches"] += 1
        crawl.complete = activity.ended == "end"
        return crawl

    def log_in_by_hand(self, settings: Settings, seconds: float, headless: bool = False) -> Path:
        """Open a browser at the login page, wait until a person has logged in, and save the session.

        Returns:
            The saved session's file.

        Raises:
            LoginWallError: Nobody logged in within `seconds`.
            BrowserError: There is no browser, or no screen for it.
        """
        return browser.run(self._wait_for_login(settings, seconds, headless))

    async def _read(self, link: str, name: str, settings: Settings) -> Activity:
        session = self._session(settings)
        async with browser.open_tab(link, settings, state=session.load()) as tab:
            return await LinkedInPages(tab, self._base_url, session, self._patience_seconds).activity(name)

    async def _wait_for_login(self, settings: Settings, seconds: float, headless: bool) -> Path:
        session = self._session(settings)
        patient = settings.model_copy(update={"browser_max_seconds": seconds + settings.crawl_timeout_seconds})
        async with browser.open_tab(f"{self._base_url}/login", patient, headless=headless) as tab:
            await LinkedInPages(tab, self._base_url, session, self._patience_seconds).wait_for_login(seconds)
        return session.path

    def _session(self, settings: Settings) -> SavedSession:
        email = settings.linkedin_email.get_secret_value() if settings.linkedin_email else None
        return SavedSession(settings, urlsplit(self._base_url).hostname or "", email)


def permalink(urn: str) -> str:
    """Return the public address of an activity, share or post."""
    return f"https://www.linkedin.com/feed/update/{urn}"


def published_at(urn: str) -> datetime | None:
    """Return when LinkedIn gave out this identifier: its upper bits are milliseconds since 1970."""
    found = _URN.fullmatch(urn)
    return datetime.fromtimestamp((int(found["id"]) >> 22) / 1000, UTC) if found else None


def _posts(crawl: Crawl, activity: Activity, own: dict[str, dict[str, Any]], author: User) -> list[RawPost]:
    """Return the owner's own posts, in the order of the page; count what is left out."""
    posts = []
    for urn in filter(own.__contains__, activity.seen):
        if not own[urn]["words"]:
            crawl.skipped["without words of the author's own"] += 1
            continue
        try:
            posts.append(
                post(
                    permalink(activity.shares.get(urn, urn)),
                    own[urn]["words"],
                    author=author,
                    platform="linkedin.com",
                    source_link=crawl.source_link,
                    published_at=published_at(urn),
                )
            )
        except SourceError as error:
            crawl.failures.append(error)
    return posts


def _written_by(actor: str, names: set[str]) -> bool:
    """Return whether this path is the profile of these names."""
    found = _ACTOR.match(actor)
    return found is not None and _spelled(found["name"]) in names


def _spelled(name: str) -> str:
    """Return a profile's name in one spelling; LinkedIn takes letter case for nothing."""
    return unquote(name).lower()
