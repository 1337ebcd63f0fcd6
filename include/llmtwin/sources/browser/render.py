"""A page as it looks once its scripts have run."""

from __future__ import annotations

import asyncio
import time

from llmtwin.errors import UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources.browser.chromium import Tab, open_tab, run
from llmtwin.sources.page import Page

# A page whose text has not changed for so long is drawn.
_STILL_SECONDS = 0.75
_POLL_SECONDS = 0.15
_TEXT = "document.body?.innerText.trim() ?? ''"


def render(link: str, settings: Settings) -> Page:
    """Return the page at a web link as HTML, after its scripts have drawn it.

    Raises:
        BrowserError: There is no browser, none is allowed, or it does not start.
        SourceError: As for `page.fetch`.
    """
    return run(_render(link, settings))


async def _render(link: str, settings: Settings) -> Page:
    async with open_tab(link, settings) as tab:
        await tab.goto(link)
        await _until_drawn(tab)
        tab.raise_what_was_refused()
        content = (await tab.page.content()).encode("utf-8", "surrogatepass")
        limit = settings.crawl_max_page_bytes
        if len(content) > limit:
            raise UnreadableError(link, f"is larger than {limit:,} bytes (LLMTWIN_CRAWL_MAX_PAGE_BYTES)")
        return Page(tab.page.url, content, "text/html", "utf-8")


async def _until_drawn(tab: Tab) -> None:
    """Wait until the network rests and the text stays; a page that never does is taken as it is in the end."""
    from playwright.async_api import TimeoutError as LateError

    deadline = time.monotonic() + tab.settings.crawl_timeout_seconds
    try:
        await tab.page.wait_for_load_state("networkidle")
    except LateError:
        return
    text, since = "", time.monotonic()
    while time.monotonic() < deadline:
        now = await tab.page.evaluate(_TEXT)
        if now != text:
            text, since = now, time.monotonic()
        elif text and time.monotonic() - since >= _STILL_SECONDS:
            return
        await asyncio.sleep(_POLL_SECONDS)
