"""A browser for one crawl: started, fenced in, bounded in time, and gone when the crawl is."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from llmtwin.errors import BrowserError, HttpStatusError, LoginWallError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard
from llmtwin.sources.browser.executable import find_executable
from llmtwin.sources.browser.proxy import GuardedProxy, guarded_proxy

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Request, StorageState

_Result = TypeVar("_Result")

_LAUNCH_SECONDS = 30.0
_LOGIN_STATUSES = {401, 403, 407, 999}  # 999 is LinkedIn's own "no programs"
_FLAGS = (
    "--disable-gpu",
    # Nothing may reach the network but through the proxy. It alone resolves names:
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    # and what would go around it by UDP is turned off.
    "--disable-quic",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
)
# What a browser that does not start says, and what it means.
_LAUNCH_PROBLEMS = {
    "Missing X server": "there is no screen to show its window on",
    "sandboxing failed": "the system forbids what its sandbox is made of; LLMTWIN_BROWSER_SANDBOX=false goes without",
}
# Of the environment a browser gets what it needs to show itself, and none of our secrets.
_INHERITED = (
    "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ",
    "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
)  # fmt: skip


@dataclass
class Tab:
    """The one page of a crawl's browser."""

    link: str
    """What is crawled; all errors name it."""
    page: Page
    settings: Settings
    proxy: GuardedProxy
    _last_lost: str | None = field(default=None, init=False)

    async def goto(self, url: str) -> None:
        """Open a URL; redirects are followed, each judged.

        Raises:
            ForbiddenLinkError: It, or a redirect, leads where settings do not allow it.
            UnreachableError: No answer in time.
            HttpStatusError: An error status.
            LoginWallError: HTTP 401, 403, 407 or 999.
            UnreadableError: It is no page, but a file to download.
        """
        from playwright.async_api import Error
        from playwright.async_api import TimeoutError as LateError

        guard.web_url(url)
        self._last_lost = None
        try:
            response = await self.page.goto(url, wait_until="domcontentloaded")
        except LateError as error:
            limit = self.settings.crawl_timeout_seconds
            raise UnreachableError(self.link, f"{url} did not load within {limit:g} s") from error
        except Error as error:
            self.raise_what_was_refused()
            if "Download is starting" in error.message:
                raise UnreadableError(self.link, f"{url} is a file to download, not a page") from error
            raise UnreachableError(self.link, f"the browser cannot open {url}: {_first_line(error)}") from error
        if response is not None and response.status in _LOGIN_STATUSES:
            reason = f"the server answered HTTP {response.status}: it wants a login, or lets no programs in"
            raise LoginWallError(self.link, reason)
        if response is not None and response.status >= 400:
            raise HttpStatusError(self.link, response.status)

    def raise_what_was_refused(self) -> None:
        """Raise the proxy's own error, if the page went, or was led, where the proxy did not connect to."""
        if self._last_lost is None:
            return
        url = urlsplit(self._last_lost)
        port = url.port or (443 if url.scheme == "https" else 80)
        if failure := self.proxy.failures.get((url.hostname or "", port)):
            led = "" if self._last_lost == self.link else f"leads to {self._last_lost}: "
            raise type(failure)(self.link, led + failure.reason)

    def note_lost(self, request: Request) -> None:
        """Remember which URL the page as a whole did not get."""
        if request.is_navigation_request() and request.frame == self.page.main_frame:
            self._last_lost = request.url


@asynccontextmanager
async def open_tab(
    link: str, settings: Settings, *, state: Mapping[str, Any] | None = None, headless: bool | None = None
) -> AsyncIterator[Tab]:
    """Start a browser with a fresh profile; end it, its children and its profile when the block is left.

    Args:
        link: What is crawled.
        settings: Which browser, how long, and where it may go.
        state: The storage state of a saved session.
        headless: Whether no window is shown; default: as settings say.

    Raises:
        BrowserError: There is no browser, or it does not start.
        UnreachableError: The browser ended, or the block took longer than settings allow.
    """
    from playwright.async_api import Error, async_playwright

    executable = find_executable(link, settings)
    try:
        async with (
            asyncio.timeout(settings.browser_max_seconds),
            guarded_proxy(settings) as proxy,
            async_playwright() as playwright,
        ):
            try:
                browser = await playwright.chromium.launch(
                    executable_path=executable,
                    headless=settings.browser_headless if headless is None else headless,
                    # Chromium's sandbox does not start as root, and a container may forbid what it is made of.
                    chromium_sandbox=settings.browser_sandbox and os.geteuid() != 0,
                    args=_FLAGS,
                    env={name: os.environ[name] for name in _INHERITED if name in os.environ},
                    proxy={"server": proxy.url, "bypass": "<-loopback>"},
                    timeout=_LAUNCH_SECONDS * 1000,
                )
                profile = await _profile(browser)
            except Error as error:
                why = next((why for sign, why in _LAUNCH_PROBLEMS.items() if sign in error.message), _first_line(error))
                raise BrowserError(link, f"{executable} does not start: {why}") from error
            try:
                context = await browser.new_context(
                    storage_state=cast("StorageState | None", state),
                    viewport={
                        "width": 1280,
                        "height": 2000,
                    },  # high: pages that load as one scrolls load more at a time
                    accept_downloads=False,
                    service_workers="block",
                )
                context.set_default_timeout(settings.crawl_timeout_seconds * 1000)
                tab = Tab(link, await context.new_page(), settings, proxy)
                tab.page.on("requestfailed", tab.note_lost)
                yield tab
            finally:
                await browser.close()
                # The driver does so too, but not always for a browser that was killed; and it holds the session.
                shutil.rmtree(profile, ignore_errors=True)
    except TimeoutError as error:
        limit = f"{settings.browser_max_seconds:g} s (LLMTWIN_BROWSER_MAX_SECONDS)"
        raise UnreachableError(link, f"the browser was not done within {limit}") from error
    except Error as error:
        raise UnreachableError(link, f"the browser failed: {_first_line(error)}") from error


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run browser work to its end and return what it returns.

    In a thread and an event loop of its own, so that it does not matter whether the caller has one. When the caller is
    interrupted while it waits (Ctrl-C, or a task that is told to stop), the work is cancelled, and waited for until it
    has cleaned up.
    """
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[_Result]]] = Future()

    async def main() -> _Result:
        task = asyncio.create_task(work)
        started.set_result((asyncio.get_running_loop(), task))
        return await task

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="browser") as thread:
        ended = thread.submit(asyncio.run, main())
        try:
            return ended.result()
        except BaseException:
            if not ended.done():
                loop, task = started.result()
                with suppress(RuntimeError):  # it has ended meanwhile, and its loop is closed
                    loop.call_soon_threadsafe(task.cancel)
            raise


async def _profile(browser: Browser) -> Path:
    """Return the folder that the driver has made for this browser."""
    session = await browser.new_browser_cdp_session()
    command = shlex.split((await session.send("SystemInfo.getInfo"))["commandLine"])
    return next(Path(part.partition("=")[2]) for part in command if part.startswith("--user-data-dir="))


def _first_line(error: Exception) -> str:
    """Return the message without Playwright's call log, which can hold what was typed into a form."""
    return str(error).partition("\n")[0]
