"""LinkedIn's pages in a browser: logging in, and reading what a profile's activity page shows."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

from llmtwin.errors import HttpStatusError, LoginWallError, UnreachableError, UnreadableError
from llmtwin.sources.browser import SavedSession, Tab

if TYPE_CHECKING:
    from playwright.async_api import Locator, Request

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
    "item": (
        *(
            f"[{name}^='urn:li:{kind}:']"
            for name in ("data-urn", "data-id")
            for kind in ("activity", "share", "ugcPost")
        ),
        "[data-activity-urn^='urn:li:activity:']",
    ),
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

BY_HAND = (
    "log in once by hand with `llmtwin browser login linkedin`, or import the data export that LinkedIn offers in its "
    "settings (`llmtwin import`)"
)
MARKUP_CHANGED = (
    "the page's markup changed: SELECTORS in sources/linkedin_pages.py must follow; LinkedIn's data export works"
)
_POLL_SECONDS = 0.2
# Where the page's scripts ask for data, and where the first of it is in the page.
_DATA_PATH = "/voyager/api/"
_EMBEDDED = "[...document.querySelectorAll('code')].map((code) => code.textContent)"


@dataclass
class Activity:
    """What a profile's activity page showed: posts, re-shares, and others' posts that were liked or commented on."""

    path: str
    """Where the page was in the end; it holds the profile's name."""
    seen: dict[str, None] = field(default_factory=dict)
    """The URNs of all that was there, in the order of the page; some may never have been drawn or unfolded."""
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was read, by URN: `actor`, the path of who wrote it, and `words`, None when there are none."""
    shares: dict[str, str] = field(default_factory=dict)
    """By an item's URN that of the share or post behind it, which LinkedIn's export knows it by."""
    ended: Literal["end", "stuck", "bound"] = "bound"
    """Why reading stopped: no more items, no answer, or as many screens as settings allow."""


@dataclass
class LinkedInPages:
    """LinkedIn in a tab."""

    tab: Tab
    base_url: str
    session: SavedSession
    patience_seconds: float
    """How long the end of a list must look like its end."""
    _answers: list[Request] = field(default_factory=list, init=False)

    async def activity(self, profile: str) -> Activity:
        """Return what a profile's activity page shows, from top to bottom; log in first where LinkedIn wants it.

        Raises:
            LoginWallError: There is no login, it was refused, or a person is asked for.
            HttpStatusError: 404, there is no such profile.
            UnreadableError: The page is not as it was when this was written.
        """
        url = f"{self.base_url}/in/{quote(profile)}/recent-activity/all/"
        self.tab.page.on("requestfinished", self._note_answer)
        place = await self._open(url)
        if place == "login":
            await self._log_in()
            place = await self._open(url)
        if place == "login":
            raise LoginWallError(self.tab.link, f"LinkedIn asks for a login again right after one; {BY_HAND}")
        await self._save_session()
        found = Activity(urlsplit(self.tab.page.url).path)
        await self._scroll(found)
        if found.seen and not found.items:
            reason = f"shows {len(found.seen)} posts, none of which can be read; {MARKUP_CHANGED}"
            raise UnreadableError(self.tab.link, reason)
        return found

    async def wait_for_login(self, seconds: float) -> None:
        """Show the login page until a person has logged in, and save the session.

        Raises:
            LoginWallError: Nobody logged in within `seconds`.
        """
        await self.tab.goto(f"{self.base_url}/login")
        deadline = time.monotonic() + seconds
        while not await self._is_logged_in():
            if time.monotonic() > deadline:
                raise LoginWallError(self.tab.link, f"nobody logged in within {seconds:g} s; nothing was saved")
            await asyncio.sleep(_POLL_SECONDS)
        await self._save_session()

    async def _open(self, url: str) -> Place:
        """Open a page of LinkedIn; return whether it is what was asked for, or the login in front of it."""
        await self.tab.goto(url)
        place = await self._place()
        if place == "checkpoint":
            raise self._checkpoint()
        if place == "absent":
            raise HttpStatusError(self.tab.link, 404)
        return place

    async def _place(self) -> Place:
        deadline = time.monotonic() + self.tab.settings.crawl_timeout_seconds
        while time.monotonic() < deadline:
            path = urlsplit(self.tab.page.url).path
            for place, pattern in _PATHS.items():
                if pattern.match(path) or await self._shows(place):
                    return place
            if await self._shows("feed"):
                return "feed"
            await asyncio.sleep(_POLL_SECONDS)
        raise UnreadableError(self.tab.link, f"shows neither a feed nor a login at {path}; {MARKUP_CHANGED}")

    async def _log_in(self) -> None:
        """Fill in the login form and wait for the answer.

        Raises:
            LoginWallError: There is nothing to fill in, it was refused, or LinkedIn wants more than that.
        """
        from playwright.async_api import TimeoutError as LateError

        settings = self.tab.settings
        if settings.linkedin_email is None or settings.linkedin_password is None:
            wanted = "set LLMTWIN_LINKEDIN_EMAIL and LLMTWIN_LINKEDIN_PASSWORD"
            raise LoginWallError(self.tab.link, f"LinkedIn wants a login; {wanted}, {BY_HAND}")
        await self.tab.page.context.clear_cookies(name=_SESSION_COOKIE)
        await self.tab.goto(f"{self.base_url}/login")
        if await self._place() == "checkpoint":
            raise self._checkpoint()
        try:
            for name, secret in (("email", settings.linkedin_email), ("password", settings.linkedin_password)):
                entry = self._first(name)
                await entry.fill("")
                # Not by fill(): it writes what it fills in into its call log, and so into errors.
                await self.tab.page.keyboard.insert_text(secret.get_secret_value())
            await self._first("submit").click()
        except LateError as error:
            raise UnreadableError(self.tab.link, f"its login form cannot be filled in; {MARKUP_CHANGED}") from error
        deadline = time.monotonic() + settings.crawl_timeout_seconds
        while not await self._is_logged_in():
            if await self._shows("refused"):
                raise LoginWallError(
                    self.tab.link,
                    "LinkedIn refused the e-mail address or the password; mend LLMTWIN_LINKEDIN_EMAIL and "
                    f"LLMTWIN_LINKEDIN_PASSWORD, or {BY_HAND}",
                )
            if _PATHS["checkpoint"].match(urlsplit(self.tab.page.url).path) or await self._shows("checkpoint"):
                raise self._checkpoint()
            if time.monotonic() > deadline:
                raise UnreachableError(self.tab.link, "LinkedIn did not answer the login form in time")
            await asyncio.sleep(_POLL_SECONDS)

    async def _scroll(self, activity: Activity) -> None:
        """Read the list from top to bottom. Items are read on the way: the page drops what is far out of view."""
        look = Path(__file__).with_suffix(".js").read_text()
        for text in await self.tab.page.evaluate(_EMBEDDED):
            activity.shares.update(_shares_in(text))
        await self.tab.page.mouse.move(640, 600)
        quiet_since = time.monotonic()
        screens = 0
        while screens < self.tab.settings.linkedin_max_scrolls:
            seen = await self.tab.page.evaluate(look, _CSS)
            while self._answers:
                activity.shares.update(_shares_in(await self._body(self._answers.pop())))
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
            if seen["loading"] and waited > self.tab.settings.crawl_timeout_seconds:
                activity.ended = "stuck"
                return
            if not seen["loading"] and waited > self.patience_seconds:
                if not seen["items"] and not seen["empty"]:
                    raise UnreadableError(self.tab.link, f"shows a feed and no posts in it; {MARKUP_CHANGED}")
                activity.ended = "end"
                return
            screens += not seen["atEnd"]
            await self.tab.page.mouse.wheel(0, 1600)
            await asyncio.sleep(_POLL_SECONDS)

    def _note_answer(self, request: Request) -> None:
        if _DATA_PATH in request.url:
            self._answers.append(request)

    async def _body(self, request: Request) -> str:
        """Return what was answered; nothing when the browser has dropped it, so that its posts go by their activity."""
        from playwright.async_api import Error

        try:
            response = await request.response()
            return await response.text() if response is not None else ""
        except (Error, UnicodeDecodeError):
            return ""

    async def _is_logged_in(self) -> bool:
        cookies = await self.tab.page.context.cookies(self.base_url)
        return any(cookie.get("name") == _SESSION_COOKIE for cookie in cookies)

    async def _save_session(self) -> None:
        self.session.save(await self.tab.page.context.storage_state())

    def _checkpoint(self) -> LoginWallError:
        return LoginWallError(self.tab.link, f"LinkedIn wants a captcha or a code, which takes a person; {BY_HAND}")

    def _first(self, name: str) -> Locator:
        return self.tab.page.locator(_CSS[name]).first

    async def _shows(self, name: str) -> bool:
        return await self._first(name).is_visible()


def _shares_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield the URNs of each activity that some JSON tells the share or post of, and that."""
    try:
        parts: list[Any] = [json.loads(text)]
    except ValueError:
        return
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            activity, share = part.get("backendUrn") or part.get("urn"), part.get("shareUrn")
            if isinstance(activity, str) and isinstance(share, str):
                yield activity, share
            parts.extend(part.values())
        elif isinstance(part, list):
            parts.extend(part)
