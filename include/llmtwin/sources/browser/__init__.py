"""A real browser, for what only a browser can read: pages drawn by script, pages behind a login.

Chromium under Playwright's driver. Each crawl has a driver, a browser, a profile folder and a debug channel of its own
(a pipe, no port), so any number run side by side; all of them end with the crawl, however it ends. Every connection
goes through a proxy in this process that judges addresses as `guard` does.
"""

from llmtwin.sources.browser.chromium import Tab, open_tab, run
from llmtwin.sources.browser.executable import find_executable, is_allowed
from llmtwin.sources.browser.render import render
from llmtwin.sources.browser.session import SavedSession

__all__ = ["SavedSession", "Tab", "find_executable", "is_allowed", "open_tab", "render", "run"]
