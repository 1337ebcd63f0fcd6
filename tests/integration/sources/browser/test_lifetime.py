"""A browser and all that belongs to it end with the crawl, however that ends; crawls share nothing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr
from tests.linkedin_site import EMAIL, PAGE_OF_POSTS, PASSWORD, Item, LinkedInSite, linkedin_site, paragraph

from llmtwin.documents import User
from llmtwin.errors import UnreachableError
from llmtwin.settings import Settings
from llmtwin.sources import Crawl, browser
from llmtwin.sources.linkedin import LinkedInSource

LINK = "https://www.linkedin.com/in/jane-doe"
# As a task runner does it: SIGTERM raises in the main thread, and the task ends by that error.
CRAWL = """
import signal, sys
from llmtwin.documents import User
from llmtwin.settings import Settings
from llmtwin.sources.linkedin import LinkedInSource

def stop(*_):
    raise RuntimeError("the task received SIGTERM")

if sys.argv[2] == "handler":
    signal.signal(signal.SIGTERM, stop)
LinkedInSource(sys.argv[1]).crawl("https://www.linkedin.com/in/jane-doe", User.named("Jane Doe"), Settings())
"""


@pytest.fixture
def site() -> Iterator[LinkedInSite]:
    """A site that never answers for the first post."""
    with linkedin_site([Item(paragraph("Never seen"))]) as running:
        running.cut_after = 0
        yield running


def settings_in(folder: Path) -> Settings:
    return Settings(
        data_dir=folder,
        crawl_allow_private=True,
        crawl_timeout_seconds=6,
        linkedin_email=SecretStr(EMAIL),
        linkedin_password=SecretStr(PASSWORD),
    )


def browsers(process: psutil.Process) -> list[psutil.Process]:
    """The main process of each browser below this process: the one that is of no --type."""
    found = [child for child in process.children(recursive=True) if "--remote-debugging-pipe" in child.cmdline()]
    return [child for child in found if not any(part.startswith("--type=") for part in child.cmdline())]


def profile(process: psutil.Process) -> Path:
    (folder,) = re.findall(r"--user-data-dir=(\S+)", " ".join(process.cmdline()))
    return Path(folder)


@pytest.mark.parametrize(
    ("ending", "number"),
    [("handler", signal.SIGTERM), ("default", signal.SIGTERM), ("default", signal.SIGKILL)],
)
def test_nothing_outlives_a_crawl_that_is_ended(
    site: LinkedInSite, tmp_path: Path, ending: str, number: signal.Signals
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLMTWIN_")} | {
        "LLMTWIN_DATA_DIR": str(tmp_path),
        "LLMTWIN_CRAWL_ALLOW_PRIVATE": "true",
        "LLMTWIN_LINKEDIN_EMAIL": EMAIL,
        "LLMTWIN_LINKEDIN_PASSWORD": PASSWORD,
    }
    command = [sys.executable, "-c", CRAWL, site.url, ending]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as crawl:
        assert site.hangs.wait(30)
        process = psutil.Process(crawl.pid)
        (chromium,) = browsers(process)
        folder = profile(chromium)
        family = process.children(recursive=True)
        assert folder.is_dir()
        assert not [name for name in chromium.environ() if name.startswith("LLMTWIN_")]
        assert len(family) > 3
        crawl.send_signal(number)
        _, told = crawl.communicate(timeout=30)
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert not folder.exists()
    assert PASSWORD not in told
    assert ("the task received SIGTERM" in told) == (ending == "handler")


def test_nothing_outlives_an_error(site: LinkedInSite, tmp_path: Path) -> None:
    servers = set(psutil.Process().children(recursive=True))  # of other tests
    family: list[psutil.Process] = []

    async def fail() -> None:
        async with browser.open_tab(LINK, settings_in(tmp_path)) as tab:
            await tab.goto(f"{site.url}/login")
            family.extend(set(psutil.Process().children(recursive=True)) - servers)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        browser.run(fail())
    assert len(family) > 3
    assert psutil.wait_procs(family, timeout=30)[1] == []


def test_a_browser_that_dies_is_told_and_leaves_no_profile(site: LinkedInSite, tmp_path: Path) -> None:
    profiles: list[Path] = []

    async def crash() -> None:
        async with browser.open_tab(LINK, settings_in(tmp_path)) as tab:
            for process in browsers(psutil.Process()):
                profiles.append(profile(process))
                process.kill()
            await tab.goto(f"{site.url}/login")

    with pytest.raises(UnreachableError, match="browser"):
        browser.run(crash())
    assert [folder.exists() for folder in profiles] == [False]


def test_a_crawl_has_so_much_time_and_no_more(site: LinkedInSite, tmp_path: Path) -> None:
    async def wait() -> None:
        async with browser.open_tab(LINK, settings_in(tmp_path).model_copy(update={"browser_max_seconds": 1.5})):
            await asyncio.Event().wait()

    with pytest.raises(UnreachableError, match="LLMTWIN_BROWSER_MAX_SECONDS"):
        browser.run(wait())


def test_three_crawls_at_once_share_nothing(tmp_path: Path) -> None:
    def crawl(number: int, site: LinkedInSite) -> Crawl:
        author = User.named("Jane Doe")
        return LinkedInSource(site.url).crawl(LINK, author, settings_in(tmp_path / str(number)))

    with ExitStack() as stack:
        sites = []
        for number in range(3):
            items = [Item(paragraph(f"Post {position} of {number}")) for position in range(2 * PAGE_OF_POSTS)]
            sites.append(stack.enter_context(linkedin_site(items)))
            sites[number].cut_after = PAGE_OF_POSTS
        threads = stack.enter_context(ThreadPoolExecutor(3))
        running = [threads.submit(crawl, number, site) for number, site in enumerate(sites)]
        assert all(site.hangs.wait(30) for site in sites)
        found = browsers(psutil.Process())
        assert len({profile(process) for process in found}) == len(found) == 3
        assert not any("--remote-debugging-port" in part for process in found for part in process.cmdline())
        for number, crawled in enumerate(future.result() for future in running):
            assert [post.content for post in crawled.documents] == [
                f"Post {position} of {number}" for position in range(PAGE_OF_POSTS)
            ]
