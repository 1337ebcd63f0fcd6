"""Pages that are drawn by script."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.integration.sources.conftest import WebServer, send

from llmtwin.documents import User
from llmtwin.errors import BrowserError, HttpStatusError, LoginWallError, SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import browser, crawl

SCRIPTED = """<!doctype html><title>Drawn later</title><div id=root></div><script>
setTimeout(() => fetch('/text').then((answer) => answer.text()).then((text) => {
  setTimeout(() => { root.innerHTML = `<article><h1>Drawn later</h1><p>${text}</p></article>`; }, 200);
}), 200);
</script>"""
TEXT = "This text is not in the page that the server sends; a script asks for it once the page is there. " * 3


@pytest.fixture
def scripted(web: WebServer) -> str:
    web.serve("/text", TEXT, content_type="text/plain")
    return web.serve("/post", SCRIPTED)


def test_an_article_drawn_by_script_is_read(scripted: str, author: User, open_settings: Settings) -> None:
    started = crawl(scripted, author, open_settings)
    (document,) = started.documents
    assert document.title == "Drawn later"
    assert TEXT.strip() in document.content
    assert started.complete


@pytest.mark.parametrize("setting", [{"crawl_browser": "never"}, {"browser_executable": Path("/nowhere/chromium")}])
def test_without_a_browser_it_is_an_error_that_says_why(
    scripted: str, author: User, open_settings: Settings, setting: dict[str, object]
) -> None:
    closed = open_settings.model_copy(update=setting)
    with pytest.raises(UnreadableError, match=r"/post.*drawn by JavaScript"):
        list(crawl(scripted, author, closed).documents)
    with pytest.raises(BrowserError, match="LLMTWIN_"):
        browser.render(scripted, closed)


def test_a_page_that_stays_empty_is_an_error(web: WebServer, author: User, open_settings: Settings) -> None:
    link = web.serve("/post", "<div id=root></div><script>1 + 1</script>")
    with pytest.raises(UnreadableError, match="even after its scripts have run"):
        list(crawl(link, author, open_settings.model_copy(update={"crawl_timeout_seconds": 2})).documents)


def test_a_program_that_is_no_browser(open_settings: Settings) -> None:
    with pytest.raises(BrowserError, match="/bin/false does not start"):
        browser.render("https://example.org/", open_settings.model_copy(update={"browser_executable": "/bin/false"}))


def test_a_page_that_never_rests_is_taken_as_it_is(web: WebServer, open_settings: Settings) -> None:
    web.serve("/poll", "again")
    link = web.serve("/post", "<p>There</p><script>setInterval(() => fetch('/poll'), 100)</script>")
    page = browser.render(link, open_settings.model_copy(update={"crawl_timeout_seconds": 1.5}))
    assert b"<p>There</p>" in page.content


def test_a_server_that_does_not_answer(web: WebServer, open_settings: Settings) -> None:
    released = threading.Event()
    link = web.serve("/post")
    web.routes["/post"] = lambda request: send(request, str(released.wait()))
    with pytest.raises(UnreachableError, match=r"/post.*did not load within 2 s"):
        browser.render(link, open_settings.model_copy(update={"crawl_timeout_seconds": 2}))
    released.set()


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (404, {}, HttpStatusError),
        (403, {}, LoginWallError),
        (200, {"Content_Disposition": "attachment; filename=a.bin"}, UnreadableError),
    ],
)
def test_what_is_no_page_is_an_error(
    web: WebServer, open_settings: Settings, status: int, headers: dict[str, str], error: type[SourceError]
) -> None:
    link = web.serve("/post", "no", status, **headers)
    with pytest.raises(error, match="/post"):
        browser.render(link, open_settings)


def test_a_page_that_grows_too_large(web: WebServer, open_settings: Settings) -> None:
    link = web.serve("/post", "<p id=p></p><script>p.textContent = 'long '.repeat(10000)</script>")
    with pytest.raises(UnreadableError, match="LLMTWIN_CRAWL_MAX_PAGE_BYTES"):
        browser.render(link, open_settings.model_copy(update={"crawl_max_page_bytes": 10_000}))
