"""LinkedIn: the posts of a profile, read in a real browser that is logged in as the profile's owner.

It is meant for one's own profile with one's own login. LinkedIn has no feed and shows nothing of a profile's activity
to strangers; where it asks for more than a password, a person logs in once by hand, or imports LinkedIn's data export.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, unquote, urlsplit

from llmtwin.documents import RawPost, User
from llmtwin.errors import HttpStatusError, LoginWallError, SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import browser
from llmtwin.sources.browser import SavedSession, Tab
from llmtwin.sources.source import Crawl, Known, Source, nothing_known, post

if TYPE_CHECKING:
    from playwright.async_api import Locator

# All that is known of LinkedIn's markup: CSS selectors. When LinkedIn changes, add an alternative.
SELECTORS: dict[str, tuple[str, ...]] = {
    # Logging in
    "email": ("input#username", "input[name=session_key]", "input[autocomplete~=username]"),
    "password": ("input#password", "input[name=session_password]", "input[type=password]"),
    "submit": ("form button[type=submit]", "form input[type=submit]", "button[data-litms-control-urn*=login-submit]"),
    "refused": ("#error-for-username", "#error-for-password", ".form__label--error"),
    # Which page is shown
    "login": ("input#password", "input[name=session_password]", "form.login__form"),
    "checkpoint": ("#captcha-internal", "form#captcha-challenge", "iframe[src*=captcha]", "input[name=pin]"),
    "absent": (".not-found", ".not-found__main-heading", ".profile-unavailable"),
    "feed": (".scaffold-finite-scroll", ".pv-recent-activity-detail__core-rail", "main [data-urn]"),
    # The feed as a whole
    "empty": ("main .artdeco-empty-state", ".pv-recent-activity-section__empty-state"),
    "load": (".scaffold-finite-scroll__load-button", "main button[data-control-name*=load_more]"),
    "loading": (".scaffold-finite-scroll .artdeco-loader", ".scaffold-finite-scroll [role=progressbar]"),
    "broken": (".scaffold-finite-scroll__error", ".scaffold-finite-scroll .artdeco-inline-feedback--error"),
    # One of its items, and what is in it
    "item": ("[data-urn^='urn:li:']", "[data-id^='urn:li:activity:']", "[data-activity-urn^='urn:li:']"),
    "actor": (
        "a.update-components-actor__meta-link",
        ".update-components-actor a[href*='/in/']",
        ".feed-shared-actor a",
    ),
    "commentary": (
        ".update-components-update-v2__commentary",
        ".feed-shared-update-v2__description",
        ".feed-shared-inline-show-more-text",
    ),
    "more": ("button.feed-shared-inline-show-more-text__see-more-less-toggle.see-more", "button.see-more"),
    "quoted": (".update-components-mini-update-v2", ".feed-shared-mini-update-v2", ".feed-shared-update-v2__reshared"),
    "comment": (".comments-comments-list", ".comments-comment-item", ".comments-comment-entity"),
    "hidden": (".visually-hidden", ".a11y-text"),
}
_CSS = {name: ", ".join(alternatives) for name, alternatives in SELECTORS.items()}

Place = Literal["login", "checkpoint", "absent", "feed"]
_PATHS: dict[Place, re.Pattern[str]] = {
    "login": re.compile(r"/(?:login|uas/login|authwall|signup)\b"),
    "checkpoint": re.compile(r"/checkpoint/(?!lg/)"),  # /checkpoint/lg/ is where the login form is sent to
    "absent": re.compile(r"/404\b"),
}
_SESSION_COOKIE = "li_at"

_PROFILE = re.compile(r"https?://(?:[\w-]+\.)?linkedin\.com/in/(?P<name>[^/?#]+)", re.IGNORECASE)
_ACTOR = re.compile(r"/in/(?P<name>[^/?#]+)")
_URN = re.compile(r"urn:li:(?P<type>activity|share|ugcPost):(?P<id>\d+)")

_BY_HAND = (
    "log in once by hand with `llmtwin browser login linkedin`, or import the data export that LinkedIn offers in its "
    "settings (`llmtwin import`)"
)
_MARKUP_CHANGED = (
    "the page's markup changed: SELECTORS in sources/linkedin.py must follow; LinkedIn's data export works"
)
_POLL_SECONDS = 0.2


@dataclass
class _Activity:
    """What a profile's activity page showed."""

    names: set[str]
    """How the page and its link call the profile."""
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was read of posts, re-shares, likes and comments, by URN: `actor`, the path of a profile, and `words`."""
    seen: dict[str, None] = field(default_factory=dict)
    """The URNs of all that were there, in the order of the page; some may never have been drawn or unfolded."""
    ended: Literal["end", "stuck", "bound"] = "bound"
    """Why reading stopped: no more items, no answer, or as many screens as settings allow."""


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
        name = _profile_name(link)
        activity = browser.run(self._read(link, name, settings))
        crawl = Crawl(f"https://www.linkedin.com/in/{quote(name)}")
        crawl.documents = iter(list(_posts(crawl, activity, author)))
        for urn in activity.seen.keys() - activity.items.keys():
            crawl.failures.append(UnreadableError(permalink(urn), f"could not be unfolded or read; {_MARKUP_CHANGED}"))
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

    async def _read(self, link: str, name: str, settings: Settings) -> _Activity:
        session = self._session(settings)
        page_url = f"{self._base_url}/in/{quote(name)}/recent-activity/all/"
        async with browser.open_tab(link, settings, state=session.load()) as tab:
            place = await self._open(tab, page_url)
            if place == "login":
                await self._log_in(tab, settings)
                place = await self._open(tab, page_url)
            if place == "login":
                raise LoginWallError(link, f"LinkedIn asks for a login again right after one; {_BY_HAND}")
            session.save(await tab.page.context.storage_state())
            final = _ACTOR.search(urlsplit(tab.page.url).path)
            activity = _Activity({name, _spelled(final["name"]) if final else name})
            await self._scroll(tab, activity)
        if activity.seen and not activity.items:
            raise UnreadableError(
                link, f"shows {len(activity.seen)} posts, none of which can be read; {_MARKUP_CHANGED}"
            )
        return activity

    async def _open(self, tab: Tab, url: str) -> Place:
        """Open a page of LinkedIn; return whether it is what was asked for, or the login in front of it."""
        await tab.goto(url)
        place = await self._place(tab)
        if place == "checkpoint":
            raise _checkpoint(tab.link)
        if place == "absent":
            raise HttpStatusError(tab.link, 404)
        return place

    async def _place(self, tab: Tab) -> Place:
        deadline = time.monotonic() + tab.settings.crawl_timeout_seconds
        while time.monotonic() < deadline:
            path = urlsplit(tab.page.url).path
            for place, pattern in _PATHS.items():
                if pattern.match(path) or await _shows(tab, place):
                    return place
            if await _shows(tab, "feed"):
                return "feed"
            await asyncio.sleep(_POLL_SECONDS)
        raise UnreadableError(tab.link, f"shows neither a feed nor a login at {path}; {_MARKUP_CHANGED}")

    async def _log_in(self, tab: Tab, settings: Settings) -> None:
        """Fill in the login form and wait for the answer.

        Raises:
            LoginWallError: There is nothing to fill in, it was refused, or LinkedIn wants more than that.
        """
        from playwright.async_api import TimeoutError as LateError

        if settings.linkedin_email is None or settings.linkedin_password is None:
            wanted = "set LLMTWIN_LINKEDIN_EMAIL and LLMTWIN_LINKEDIN_PASSWORD"
            raise LoginWallError(tab.link, f"LinkedIn wants a login; {wanted}, {_BY_HAND}")
        await tab.page.context.clear_cookies(name=_SESSION_COOKIE)
        await tab.goto(f"{self._base_url}/login")
        if await self._place(tab) == "checkpoint":
            raise _checkpoint(tab.link)
        try:
            for name, secret in (("email", settings.linkedin_email), ("password", settings.linkedin_password)):
                entry = _first(tab, name)
                await entry.fill("")
                # Not by fill(): it writes what it fills in into its call log, and so into errors.
                await tab.page.keyboard.insert_text(secret.get_secret_value())
            await _first(tab, "submit").click()
        except LateError as error:
            raise UnreadableError(tab.link, f"its login form cannot be filled in; {_MARKUP_CHANGED}") from error
        deadline = time.monotonic() + settings.crawl_timeout_seconds
        while not await self._is_logged_in(tab):
            if await _shows(tab, "refused"):
                raise LoginWallError(
                    tab.link,
                    "LinkedIn refused the e-mail address or the password; mend LLMTWIN_LINKEDIN_EMAIL and "
                    f"LLMTWIN_LINKEDIN_PASSWORD, or {_BY_HAND}",
                )
            if _PATHS["checkpoint"].match(urlsplit(tab.page.url).path) or await _shows(tab, "checkpoint"):
                raise _checkpoint(tab.link)
            if time.monotonic() > deadline:
                raise UnreachableError(tab.link, "LinkedIn did not answer the login form in time")
            await asyncio.sleep(_POLL_SECONDS)

    async def _scroll(self, tab: Tab, activity: _Activity) -> None:
        """Read the list from top to bottom. Items are read on the way: the page drops what is far out of view."""
        look = Path(__file__).with_suffix(".js").read_text()
        await tab.page.mouse.move(640, 600)
        quiet_since = time.monotonic()
        screens = 0
        while screens < tab.settings.linkedin_max_scrolls:
            seen = await tab.page.evaluate(look, _CSS)
            drawn = {item["urn"]: item for item in seen["items"] if item["actor"] and not item["folded"]}
            new = drawn.keys() - activity.items.keys()
            activity.items.update({urn: drawn[urn] for urn in new})
            activity.seen.update(dict.fromkeys(item["urn"] for item in seen["items"]))
            if seen["broken"]:
                activity.ended = "stuck"
                return
            if new or not seen["atEnd"]:
                quiet_since = time.monotonic()
            waited = time.monotonic() - quiet_since
            if seen["loading"] and waited > tab.settings.crawl_timeout_seconds:
                activity.ended = "stuck"
                return
            if not seen["loading"] and waited > self._patience_seconds:
                if not seen["items"] and not seen["empty"]:
                    raise UnreadableError(tab.link, f"shows a feed and no posts in it; {_MARKUP_CHANGED}")
                activity.ended = "end"
                return
            screens += not seen["atEnd"]
            await tab.page.mouse.wheel(0, 1600)
            await asyncio.sleep(_POLL_SECONDS)

    async def _wait_for_login(self, settings: Settings, seconds: float, headless: bool) -> Path:
        link = f"{self._base_url}/login"
        session = self._session(settings)
        patient = settings.model_copy(update={"browser_max_seconds": seconds + settings.crawl_timeout_seconds})
        async with browser.open_tab(link, patient, headless=headless) as tab:
            await tab.goto(link)
            deadline = time.monotonic() + seconds
            while not await self._is_logged_in(tab):
                if time.monotonic() > deadline:
                    raise LoginWallError(link, f"nobody logged in within {seconds:g} s; nothing was saved")
                await asyncio.sleep(_POLL_SECONDS)
            session.save(await tab.page.context.storage_state())
        return session.path

    async def _is_logged_in(self, tab: Tab) -> bool:
        cookies = await tab.page.context.cookies(self._base_url)
        return any(cookie.get("name") == _SESSION_COOKIE for cookie in cookies)

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


def _posts(crawl: Crawl, activity: _Activity, author: User) -> list[RawPost]:
    """Return the owner's own posts; count what is left out."""
    posts = []
    for urn, item in ((urn, activity.items[urn]) for urn in activity.seen if urn in activity.items):
        actor = _ACTOR.search(item["actor"])
        if actor is None or _spelled(actor["name"]) not in activity.names:
            crawl.skipped["written by others"] += 1
        elif not item["words"]:
            crawl.skipped["without words of the author's own"] += 1
        else:
            link = permalink(urn)
            try:
                posts.append(
                    post(
                        link,
                        item["words"],
                        author=author,
                        platform="linkedin.com",
                        source_link=crawl.source_link,
                        published_at=published_at(urn),
                    )
                )
            except SourceError as error:
                crawl.failures.append(error)
    return posts


def _profile_name(link: str) -> str:
    found = _PROFILE.match(link.strip())
    if found is None:
        raise UnreadableError(link, "is no LinkedIn profile; one looks like https://www.linkedin.com/in/name")
    return _spelled(found["name"])


def _spelled(name: str) -> str:
    """Return a profile's name in one spelling; LinkedIn takes letter case for nothing."""
    return unquote(name).casefold()


def _checkpoint(link: str) -> LoginWallError:
    return LoginWallError(link, f"LinkedIn wants a captcha or a code, which takes a person; {_BY_HAND}")


def _first(tab: Tab, name: str) -> Locator:
    return tab.page.locator(_CSS[name]).first


async def _shows(tab: Tab, name: str) -> bool:
    return await _first(tab, name).is_visible()
