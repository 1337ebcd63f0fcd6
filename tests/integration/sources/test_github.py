"""All repositories of a user, by GitHub's API as a real web server plays it."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.integration.sources.conftest import send
from tests.integration.sources.repositories import finished

from llmtwin.documents import User
from llmtwin.errors import ForbiddenLinkError, LoginWallError, RateLimitError, SourceError, UnreachableError
from llmtwin.settings import Settings
from llmtwin.sources import crawl, expand

LINK = "https://github.com/ada"


def repository_row(name: str, **different: Any) -> dict[str, Any]:
    """Return a repository as the API names it."""
    return {
        "name": name,
        "full_name": f"ada/{name}",
        "fork": False,
        "archived": False,
        "html_url": f"https://github.com/ada/{name}",
        "clone_url": f"https://github.com/ada/{name}.git",
        **different,
    }


def serve_repositories(web: Any, rows: list[dict[str, Any]], path: str = "/users/ada/repos") -> None:
    """Page through these repositories as GitHub does, by a Link header."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked = parse_qs(urlsplit(request.path).query)
        size, number = int(asked["per_page"][0]), int(asked.get("page", ["1"])[0])
        headers = {"ETag": '"1"', "Cache_Control": "public, max-age=60, s-maxage=60"}
        if number * size < len(rows):
            headers["Link"] = f'<{web.url}/user/7/repos?per_page={size}&type=owner&page={number + 1}>; rel="next"'
        page = rows[(number - 1) * size : number * size]
        send(request, json.dumps(page), content_type="application/json; charset=utf-8", **headers)

    web.routes[path] = web.routes["/user/7/repos"] = answer


@pytest.fixture
def github(web: Any, open_settings: Settings) -> Settings:
    return open_settings.model_copy(update={"github_api_url": f"{web.url}/"})


def test_a_user_stands_for_many_repositories(web: Any, github: Settings) -> None:
    rows = [repository_row(f"project-{number}") for number in range(205)]
    rows += [repository_row("theirs", fork=True), repository_row("old", archived=True)]
    serve_repositories(web, rows)
    assert expand(f"{LINK}?tab=repositories", github) == [row["html_url"] for row in rows[:205]]
    assert len(web.requests) == 3
    assert web.headers[0]["Accept"] == "application/vnd.github+json"
    assert web.headers[0]["X-GitHub-Api-Version"]
    assert web.headers[0]["Authorization"] is None


def test_forks_and_archived_ones_where_they_are_wanted(web: Any, github: Settings) -> None:
    serve_repositories(web, [repository_row("theirs", fork=True), repository_row("old", archived=True)])
    assert expand(LINK, github) == []
    assert expand(LINK, github.model_copy(update={"github_forks": True})) == [f"{LINK}/theirs"]
    assert expand(LINK, github.model_copy(update={"github_archived": True})) == [f"{LINK}/old"]


def test_each_is_a_crawl_of_the_git_source(web: Any, github: Settings, author: User, remote: str) -> None:
    serve_repositories(web, [repository_row("project", html_url=f"{web.url}/ada/project", clone_url=remote)])
    (link,) = expand(LINK, github)
    started, documents = finished(link, author, github)
    assert set(documents) == {"main.py", "docs/README.md"}
    assert started.complete


def test_a_token_goes_to_the_api_and_nowhere_else(web: Any, github: Settings, on_this_machine: Any) -> None:
    on_this_machine("elsewhere.test")
    settings = github.model_copy(update={"github_token": "ghp_secret"})
    serve_repositories(web, [repository_row("project")], "/moved")
    web.serve("/users/ada/repos", "", 301, Location=f"http://elsewhere.test:{web.port}/moved?per_page=100")
    assert expand(LINK, settings) == [f"{LINK}/project"]
    assert [headers["Authorization"] for headers in web.headers] == ["Bearer ghp_secret", None]
    assert not settings.data.exists()
    assert "ghp_secret" not in repr(settings)


def test_when_the_limit_is_used_up(web: Any, github: Settings) -> None:
    reset = 4_102_444_800  # 2100-01-01
    for status, headers in (
        (403, {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": str(reset)}),
        (429, {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": str(reset), "Retry_After": "3600"}),
    ):
        web.serve("/users/ada/repos", '{"message": "API rate limit exceeded"}', status, **headers)
        with pytest.raises(RateLimitError, match=r"github\.com/ada.*2100-01-01 00:00 UTC.*LLMTWIN_GITHUB_TOKEN"):
            expand(LINK, github)
    assert len(web.requests) == 2


@pytest.mark.parametrize(
    ("status", "error", "why"),
    [
        (401, LoginWallError, "LLMTWIN_GITHUB_TOKEN"),
        (403, SourceError, "HTTP 403"),
        (404, SourceError, "no user"),
        (500, SourceError, "HTTP 500"),
    ],
)
def test_what_the_api_refuses(web: Any, github: Settings, status: int, error: type[SourceError], why: str) -> None:
    web.serve("/users/ada/repos", '{"message": "no"}', status)
    with pytest.raises(error, match=rf"github\.com/ada.*{why}"):
        expand(LINK, github)


@pytest.mark.parametrize("body", ["<html>", '{"message": "no"}', "", "[1]", '[{"name": "project"}]'])
def test_an_answer_that_is_no_list(web: Any, github: Settings, body: str) -> None:
    web.serve("/users/ada/repos", body)
    with pytest.raises(SourceError, match="no list of repositories"):
        expand(LINK, github)


def test_an_api_that_cannot_be_reached(web: Any, github: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(UnreachableError, match=r"github\.com/ada.*API"):
        expand(LINK, github.model_copy(update={"github_api_url": "http://127.0.0.1:9"}))
    with pytest.raises(ForbiddenLinkError, match=r"github\.com/ada"):
        expand(LINK, github.model_copy(update={"crawl_allow_private": False}))


def test_a_user_is_not_crawled_as_one(author: User, github: Settings) -> None:
    with pytest.raises(SourceError, match="many repositories"):
        crawl(LINK, author, github)


def test_any_other_link_stands_for_itself(github: Settings) -> None:
    for link in ("https://github.com/ada/project", "https://example.org/post", "/home/ada/notes"):
        assert expand(link, github) == [link]
