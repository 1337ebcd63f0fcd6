"""Reading pages politely: only what has changed, what robots.txt allows, and not too fast."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sources.conftest import send
from tests.integration.sources.pages import article_page

from llmtwin.errors import ForbiddenLinkError, HttpStatusError, RobotsError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard
from llmtwin.sources.page import Session, fetch

DAY = 24 * 3600


def cache_of(settings: Settings) -> Path:
    return settings.data / "http-cache" / "pages.db"


def test_an_unchanged_page_is_not_sent_again(web: Any, open_settings: Settings) -> None:
    link = web.serve_changing("/post", article_page("Engines"))
    first, second = fetch(link, open_settings), fetch(link, open_settings)
    assert first == second
    assert [headers["If-None-Match"] for headers in web.headers] == [
        None,
        second_tag := web.headers[1]["If-None-Match"],
    ]
    assert second_tag


def test_a_changed_page_is(web: Any, open_settings: Settings) -> None:
    link = web.serve_changing("/post", article_page("Engines"))
    fetch(link, open_settings)
    web.serve_changing("/post", article_page("Looms"))
    assert b"Looms" in fetch(link, open_settings).content
    assert b"Looms" in fetch(link, open_settings).content
    assert [bool(headers["If-None-Match"]) for headers in web.headers] == [False, True, True]


def test_a_server_that_only_knows_dates_is_asked_by_date(web: Any, open_settings: Settings) -> None:
    moment = "Tue, 05 Mar 2024 10:30:00 GMT"

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("If-Modified-Since") == moment:
            send(request, "", 304, content_type="")
        else:
            send(request, article_page("Engines"), Last_Modified=moment)

    web.routes["/post"] = answer
    link = f"{web.url}/post"
    assert fetch(link, open_settings) == fetch(link, open_settings)
    assert [headers["If-Modified-Since"] for headers in web.headers] == [None, moment]


def test_what_is_still_fresh_is_asked_for_all_the_same(web: Any, open_settings: Settings) -> None:
    link = web.serve_changing("/post", article_page("Engines"), Cache_Control=f"max-age={DAY}")
    fetch(link, open_settings)
    web.serve_changing("/post", article_page("Looms"), Cache_Control=f"max-age={DAY}")
    assert b"Looms" in fetch(link, open_settings).content


@pytest.mark.parametrize("cache_control", ["no-store", "private, no-store"])
def test_what_a_server_wants_kept_nowhere_is_kept_nowhere(
    web: Any, open_settings: Settings, cache_control: str
) -> None:
    link = web.serve_changing("/post", article_page("Engines"), Cache_Control=cache_control)
    fetch(link, open_settings)
    fetch(link, open_settings)
    assert [headers["If-None-Match"] for headers in web.headers] == [None, None]


def test_what_is_read_with_a_token_is_kept_nowhere(web: Any, open_settings: Settings) -> None:
    link = web.serve_changing("/mine", article_page("Secrets"), Cache_Control=f"public, max-age={DAY}")
    with Session(open_settings, {"Authorization": "Bearer secret-token"}) as session:
        session.fetch(link)
        session.fetch(link)
    assert [headers["Authorization"] for headers in web.headers] == ["Bearer secret-token"] * 2
    assert [headers["If-None-Match"] for headers in web.headers] == [None, None]
    assert not cache_of(open_settings).exists()


def test_a_token_does_not_follow_to_another_host(web: Any, open_settings: Settings, on_this_machine: Any) -> None:
    on_this_machine("elsewhere.test")
    web.serve("/there", article_page("There"))
    link = web.serve("/here", "", 302, Location=f"http://elsewhere.test:{web.port}/there")
    with Session(open_settings, {"Authorization": "Bearer secret-token"}) as session:
        session.fetch(link)
    assert [headers["Authorization"] for headers in web.headers] == ["Bearer secret-token", None]


def test_a_cookie_of_one_page_is_not_sent_with_the_next(web: Any, open_settings: Settings) -> None:
    links = [web.serve(f"/{n}", article_page("Engines"), Set_Cookie="visitor=1") for n in range(2)]
    with Session(open_settings) as session:
        for link in links:
            session.fetch(link)
    assert [headers["Cookie"] for headers in web.headers] == [None, None]


def test_only_the_user_may_look_into_the_cache(web: Any, open_settings: Settings) -> None:
    fetch(web.serve_changing("/post", article_page("Engines")), open_settings)
    assert cache_of(open_settings).parent.stat().st_mode & 0o077 == 0
    assert cache_of(open_settings).exists()


def test_limits_hold_for_what_is_cached(web: Any, open_settings: Settings) -> None:
    link = web.serve_changing("/post", article_page("Engines"))
    fetch(link, open_settings)
    with pytest.raises(UnreadableError, match="larger than 100 bytes"):
        fetch(link, open_settings.model_copy(update={"crawl_max_page_bytes": 100}))


def test_the_guard_holds_for_what_is_cached(web: Any, open_settings: Settings) -> None:
    link = web.serve_changing("/post", article_page("Engines"))
    fetch(link, open_settings)
    with pytest.raises(ForbiddenLinkError, match=r"127\.0\.0\.1"):
        fetch(link, open_settings.model_copy(update={"crawl_allow_private": False}))


def test_a_cached_redirect_to_a_private_address_is_judged_again(
    web: Any, open_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.serve("/secret", article_page("Secret"))
    link = web.serve(
        "/post", "", 301, Location=f"http://127.0.0.2:{web.port}/secret", Cache_Control=f"public, max-age={DAY}"
    )
    with pytest.raises(UnreachableError):  # nobody listens there
        fetch(link, open_settings)
    monkeypatch.setattr(guard, "is_public", lambda address: address == "127.0.0.1")
    with pytest.raises(ForbiddenLinkError, match=r"/post.*127\.0\.0\.2"):
        fetch(link, open_settings.model_copy(update={"crawl_allow_private": False}))


@pytest.mark.parametrize("damage", ["garbage", "foreign", "folder", "unwritable", "is a file"])
def test_a_broken_cache_breaks_no_crawl(web: Any, open_settings: Settings, damage: str) -> None:
    path = cache_of(open_settings)
    path.parent.mkdir(parents=True)
    if damage == "garbage":
        path.write_bytes(b"no database at all" * 1000)
    elif damage == "foreign":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE entries (name TEXT)")
    elif damage == "folder":
        path.mkdir()
    elif damage == "unwritable":
        Path(f"{path}-journal").mkdir()
        Path(f"{path}-wal").mkdir()
    else:
        shutil.rmtree(path.parent)
        path.parent.write_text("in the way")
    link = web.serve_changing("/post", article_page("Engines"))
    assert fetch(link, open_settings) == fetch(link, open_settings)
    assert len(web.requests) == 2


def test_a_body_that_is_damaged_in_the_cache_is_fetched_anew(web: Any, open_settings: Settings) -> None:
    link = web.serve_changing("/post", article_page("Engines"))
    first = fetch(link, open_settings)
    with sqlite3.connect(cache_of(open_settings)) as connection:
        connection.execute("DELETE FROM streams")
    assert fetch(link, open_settings) == first


def test_a_cache_without_room_breaks_no_crawl(web: Any, open_settings: Settings) -> None:
    settings = open_settings.model_copy(update={"crawl_cache_bytes": 1})
    link = web.serve_changing("/post", article_page("Engines"))
    assert fetch(link, settings) == fetch(link, settings)
    assert [headers["If-None-Match"] for headers in web.headers] == [None, None]


def test_no_cache_where_none_is_wanted(web: Any, open_settings: Settings) -> None:
    fetch(web.serve("/post", article_page("Engines")), open_settings.model_copy(update={"crawl_cache_bytes": 0}))
    assert not cache_of(open_settings).parent.exists()


def test_several_processes_share_the_cache(web: Any, open_settings: Settings) -> None:
    links = [web.serve_changing(f"/{n}", article_page(f"Engine {n}")) for n in range(8)]
    script = (
        "import sys; from pathlib import Path; from llmtwin.settings import Settings\n"
        "from llmtwin.sources.page import Session\n"
        "settings = Settings(data_dir=Path(sys.argv[1]), crawl_allow_private=True, crawl_pause_seconds=0)\n"
        "with Session(settings) as session:\n"
        "    print(sum(session.fetch(link).content.count(b'<h1>Engine') for link in sys.argv[2:]))\n"
    )
    command = [sys.executable, "-c", script, str(open_settings.data_dir), *links]
    crawls = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [crawl.communicate(timeout=120) for crawl in crawls]
    assert [out.split() for out, _ in answers] == [["8"]] * 4, answers
    assert not any("Traceback" in err for _, err in answers), answers
    with sqlite3.connect(cache_of(open_settings)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_robots_are_asked_once_a_site_and_obeyed(web: Any, open_settings: Settings) -> None:
    web.serve("/robots.txt", "User-agent: *\nDisallow: /private/\n\nUser-agent: OtherBot\nDisallow: /\n")
    allowed, private = web.serve("/post", article_page("Engines")), web.serve("/private/post", article_page("Secrets"))
    with Session(open_settings) as session:
        session.fetch(allowed)
        with pytest.raises(RobotsError, match=r"/private/post.*LLMTWIN_CRAWL_OWN_SITES=127\.0\.0\.1"):
            session.fetch(private)
        session.fetch(allowed)
    assert len(web.asked_for_robots) == 1
    assert [path for path, _ in web.requests] == ["/post", "/post"]


def test_rules_for_this_program_count_before_those_for_all(web: Any, open_settings: Settings) -> None:
    web.serve("/robots.txt", "User-agent: *\nAllow: /\n\nUser-agent: LLMtwin\nDisallow: /post\n")
    with pytest.raises(RobotsError):
        fetch(web.serve("/post", article_page("Engines")), open_settings)


def test_a_redirect_to_where_programs_may_not_go_is_not_followed(web: Any, open_settings: Settings) -> None:
    web.serve("/robots.txt", "User-agent: *\nDisallow: /private/\n")
    web.serve("/private/post", article_page("Secrets"))
    with pytest.raises(RobotsError, match="/post"):
        fetch(web.serve("/post", "", 302, Location="/private/post"), open_settings)
    assert [path for path, _ in web.requests] == ["/post"]


@pytest.mark.parametrize("own", ["127.0.0.1", "example.org, 127.0.0.1 ,", "http://127.0.0.1:8000/blog"])
def test_the_robots_of_the_authors_own_site_are_not_asked(web: Any, open_settings: Settings, own: str) -> None:
    web.serve("/robots.txt", "User-agent: *\nDisallow: /\n")
    fetch(
        web.serve("/post", article_page("Engines")),
        settings := open_settings.model_copy(update={"crawl_own_sites": own}),
    )
    assert settings.crawl_own_sites == own
    assert not web.asked_for_robots


@pytest.mark.parametrize(
    ("status", "headers"), [(404, {}), (403, {}), (401, {}), (410, {}), (302, {"Location": "/robots.txt"})]
)
def test_without_robots_all_is_allowed(web: Any, open_settings: Settings, status: int, headers: dict[str, str]) -> None:
    web.serve("/robots.txt", "User-agent: *\nDisallow: /\n", status, **headers)
    assert fetch(web.serve("/post", article_page("Engines")), open_settings).content


def test_robots_that_cannot_be_had_stand_for_a_refusal(web: Any, open_settings: Settings) -> None:
    web.serve("/robots.txt", "oops", 500)
    with pytest.raises(UnreachableError, match=r"/post.*robots\.txt.*500"):
        fetch(web.serve("/post", article_page("Engines")), open_settings)
    assert not web.requests


@pytest.mark.parametrize("content", [b"\xff\xfe\x00garbage\n" * 100, b"<html>not found</html>", b"x" * 3_000_000, b""])
def test_robots_that_say_nothing_forbid_nothing(web: Any, open_settings: Settings, content: bytes) -> None:
    web.serve("/robots.txt", content)
    assert fetch(web.serve("/post", article_page("Engines")), open_settings).content


def test_robots_are_asked_again_only_when_they_may_have_changed(web: Any, open_settings: Settings) -> None:
    web.serve("/robots.txt", "User-agent: *\nAllow: /\n", Cache_Control=f"max-age={DAY}")
    link = web.serve("/post", article_page("Engines"))
    fetch(link, open_settings)
    fetch(link, open_settings)
    assert len(web.asked_for_robots) == 1


@pytest.mark.parametrize(("age", "asked"), [(timedelta(hours=23), 1), (timedelta(hours=25), 2)])
def test_robots_are_used_for_a_day_at_most(web: Any, open_settings: Settings, age: timedelta, asked: int) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        body = b"User-agent: *\nAllow: /\n"
        request.send_response_only(200)
        request.send_header("Date", format_datetime(datetime.now(UTC) - age, usegmt=True))
        request.send_header("Cache-Control", f"max-age={7 * DAY}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    web.routes["/robots.txt"] = answer
    link = web.serve("/post", article_page("Engines"))
    fetch(link, open_settings)
    fetch(link, open_settings)
    assert len(web.asked_for_robots) == asked


@pytest.mark.parametrize(
    ("delay", "pause", "slept"), [("", 2.0, 2.0), ("Crawl-delay: 7", 2.0, 7.0), ("Crawl-delay: 86400", 2.0, 30.0)]
)
def test_a_host_has_its_pause_between_two_pages(
    web: Any, open_settings: Settings, monkeypatch: pytest.MonkeyPatch, delay: str, pause: float, slept: float
) -> None:
    web.serve("/robots.txt", f"User-agent: *\n{delay}\nDisallow: /private\n")
    links = [web.serve(f"/{n}", article_page("Engines")) for n in range(3)]
    sleeps: list[float] = []
    monkeypatch.setattr(time, "sleep", sleeps.append)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + sum(sleeps))
    with Session(open_settings.model_copy(update={"crawl_pause_seconds": pause})) as session:
        for link in links:
            session.fetch(link)
    assert [seconds for seconds in sleeps if seconds] == pytest.approx([slept, slept])


def test_another_host_is_not_waited_for(
    web: Any, open_settings: Settings, monkeypatch: pytest.MonkeyPatch, on_this_machine: Any
) -> None:
    on_this_machine("one.test", "two.test")
    web.serve("/post", article_page("Engines"))
    sleeps: list[float] = []
    monkeypatch.setattr(time, "sleep", sleeps.append)
    with Session(open_settings.model_copy(update={"crawl_pause_seconds": 60.0})) as session:
        for host in ("one.test", "two.test"):
            session.fetch(f"http://{host}:{web.port}/post")
    assert not sleeps


def test_429_waits_as_long_as_the_server_says(
    web: Any, open_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy_then_well(request: BaseHTTPRequestHandler) -> None:
        if len(web.requests) < 2:
            return send(request, "busy", 429, Retry_After="17")
        return send(request, article_page("Engines"))

    web.routes["/post"] = busy_then_well
    sleeps: list[float] = []
    monkeypatch.setattr(time, "sleep", sleeps.append)
    assert fetch(f"{web.url}/post", open_settings).content
    assert 17 in [round(seconds) for seconds in sleeps]


def test_an_error_status_is_not_kept(web: Any, open_settings: Settings) -> None:
    link = web.serve("/post", "not yet", 404, Cache_Control=f"public, max-age={DAY}")
    with pytest.raises(HttpStatusError, match="404"):
        fetch(link, open_settings)
    web.serve("/post", article_page("Engines"))
    assert b"Engines" in fetch(link, open_settings).content
