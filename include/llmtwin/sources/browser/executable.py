"""Which browser is started: the one that settings name, else the system's."""

from __future__ import annotations

import shutil
from pathlib import Path

from llmtwin.errors import BrowserError
from llmtwin.settings import Settings

# Debian, then Ubuntu and Alpine, then Google's own packages.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_executable(link: str, settings: Settings) -> Path:
    """Return the browser's path.

    Raises:
        BrowserError: There is none, or none may be used; names `link`, which needs one.
    """
    if settings.crawl_browser == "never":
        raise BrowserError(link, "needs a browser, and LLMTWIN_CRAWL_BROWSER=never forbids one; auto allows it")
    names = (str(settings.browser_executable),) if settings.browser_executable else NAMES
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    raise BrowserError(
        link,
        f"needs a browser, and there is no {' or '.join(names)}; install Chromium (`apt-get install chromium` on "
        "Debian), or name another Chromium by LLMTWIN_BROWSER_EXECUTABLE",
    )


def is_allowed(settings: Settings) -> bool:
    """Return whether a page may be read with a browser, and there is one."""
    try:
        find_executable("", settings)
    except BrowserError:
        return False
    return True
