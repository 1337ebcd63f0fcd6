"""A registered link that answers no more: only what says that it is gone deletes, and only the second time."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from llmtwin import crawling
from llmtwin.errors import HttpStatusError, SourceError
from llmtwin.settings import Settings
from llmtwin.warehouse import RegisteredSource, find_source, open_database, registered_sources

if TYPE_CHECKING:
    from pymongo.database import Database

    Warehouse = Database[dict[str, Any]]

pytestmark = pytest.mark.stack

PAGE = "<html><body><article><h1>A page</h1><p>It says something worth keeping, in a sentence.</p></article></body>"


@pytest.fixture
def crawler(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"crawl_allow_private": True, "crawl_pause_seconds": 0.0, "crawl_timeout_seconds": 2.0}
    )


@pytest.fixture
def database(mongodb: Warehouse, settings: Settings) -> Warehouse:
    return open_database(mongodb.client, settings)


def crawl(database: Warehouse, source: RegisteredSource, settings: Settings) -> RegisteredSource:
    """Crawl once more; return what the registry says about it then."""
    with suppress(SourceError):
        crawling.crawl_source(database, source, settings)
    return find_source(database, source.id)


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_that_is_gone_twice_is_deleted(web: Any, database: Warehouse, crawler: Settings, status: int) -> None:
    link = web.serve("/article", PAGE)
    [source] = crawling.sources_to_crawl(database, "Ana", [link], crawler)
    assert crawl(database, source, crawler).last_counts["new"] == 1
    web.serve("/article", "no", status)
    gone = crawl(database, source, crawler)
    assert (gone.last_counts["missed"], gone.last_counts["deleted"]) == (1, 0)
    assert database.articles.count_documents({}) == 1
    gone = crawl(database, source, crawler)
    assert (gone.last_counts["missed"], gone.last_counts["deleted"]) == (0, 1)
    assert database.articles.count_documents({}) == 0
    with pytest.raises(HttpStatusError):
        crawling.crawl_source(database, source, crawler)


def test_a_page_that_comes_back_has_not_been_missed(web: Any, database: Warehouse, crawler: Settings) -> None:
    link = web.serve("/article", PAGE)
    [source] = crawling.sources_to_crawl(database, "Ana", [link], crawler)
    for status in (200, 404, 200, 404):
        web.serve("/article", PAGE, status)
        crawl(database, source, crawler)
    assert database.articles.count_documents({}) == 1


@pytest.mark.parametrize("status", [401, 403, 451, 500, 503])
def test_no_other_failure_deletes(web: Any, database: Warehouse, crawler: Settings, status: int) -> None:
    link = web.serve("/article", PAGE)
    [source] = crawling.sources_to_crawl(database, "Ana", [link], crawler)
    crawl(database, source, crawler)
    web.serve("/article", "no", status)
    for _ in range(3):
        assert crawl(database, source, crawler).last_counts["missed"] == 0
    assert database.articles.count_documents({}) == 1


def test_a_server_that_hangs_up_deletes_nothing(web: Any, database: Warehouse, crawler: Settings) -> None:
    link = web.serve("/article", PAGE)
    [source] = crawling.sources_to_crawl(database, "Ana", [link], crawler)
    crawl(database, source, crawler)

    def hang_up(request: BaseHTTPRequestHandler) -> None:
        request.connection.close()
        raise ConnectionResetError

    web.routes["/article"] = hang_up
    for _ in range(2):
        assert crawl(database, source, crawler).last_error is not None
    assert database.articles.count_documents({}) == 1


def test_a_repository_that_is_gone_twice_loses_its_files(
    remote: str, web: Any, database: Warehouse, crawler: Settings
) -> None:
    since = datetime.now(UTC)
    [source] = crawling.sources_to_crawl(database, "Ana", [remote], crawler)
    assert crawl(database, source, crawler).last_counts["new"] == 2
    assert crawl(database, source, crawler).last_counts["unchanged"] == 2
    web.serve("/ada/project.git/info/refs", "no", 404)
    gone = crawl(database, source, crawler)
    assert gone.last_counts["missed"] == 2
    assert gone.last_error is not None and gone.last_error.endswith("HTTP 404")
    gone = crawl(database, source, crawler)
    assert gone.last_counts["deleted"] == 2
    assert gone.last_error is not None and gone.last_error.endswith("2 of its documents, missed twice, were deleted")
    assert database.repository_files.count_documents({}) == 0
    [row] = crawling.summarize(database, [str(source.id)], since)
    assert (row["successful"], row["deleted"], row["failed"]) == (0, 2, [gone.last_error])


@pytest.mark.parametrize("listed", [True, False])
def test_a_repository_that_wants_a_login_is_gone_when_its_owner_lists_it_no_more(
    remote: str, web: Any, database: Warehouse, crawler: Settings, listed: bool
) -> None:
    """GitHub answers so for what was deleted, and for what was made private."""
    settings = crawler.model_copy(update={"github_api_url": web.url})
    user, row = "https://github.com/ada", {"html_url": "https://localhost/ada/project", "clone_url": remote}
    web.serve("/users/ada/repos", json.dumps([row]), content_type="application/json")
    [source] = crawling.sources_to_crawl(database, "Ada", [user], settings)
    assert source.link == remote
    assert crawl(database, source, settings).last_counts["new"] == 2
    web.serve("/users/ada/repos", json.dumps([row] if listed else []), content_type="application/json")
    web.serve("/ada/project.git/info/refs", "no", 401, WWW_Authenticate="Basic")
    for missed in (2, 0):
        [source] = crawling.sources_to_crawl(database, None, [], settings)
        assert crawl(database, source, settings).last_counts["missed"] == (0 if listed else missed)
    assert database.repository_files.count_documents({}) == (2 if listed else 0)
    assert len(crawling.sources_to_crawl(database, None, [], settings)) == (1 if listed else 0)
    assert [source.link for source in registered_sources(database)] == ([user, remote] if listed else [user])


def test_a_list_that_cannot_be_read_fails_with_its_own_reason(web: Any, database: Warehouse, crawler: Settings) -> None:
    settings = crawler.model_copy(update={"github_api_url": web.url})
    web.serve("/users/ada/repos", "no", 404)
    [source] = crawling.sources_to_crawl(database, "Ada", ["https://github.com/ada"], settings)
    with pytest.raises(SourceError, match="knows no user or organization"):
        crawling.crawl_source(database, source, settings)
    web.serve("/users/ada/repos", "[]", content_type="application/json")
    with pytest.raises(SourceError, match="but can now; crawl it again"):
        crawling.crawl_source(database, source, settings)
    assert crawling.sources_to_crawl(database, None, [], settings) == []
    [source] = registered_sources(database)
    assert source.last_error is None
