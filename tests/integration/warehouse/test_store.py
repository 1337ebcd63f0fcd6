"""The warehouse on a real MongoDB."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from pymongo.errors import WriteError
from tests.documents import AUTHOR, article, post, source_file

from llmtwin.documents import RawDocument
from llmtwin.errors import SourceError, WarehouseError
from llmtwin.settings import Settings
from llmtwin.sources import Crawl
from llmtwin.warehouse import (
    connect,
    ensure_schema,
    finish_crawl,
    get_or_create_user,
    register_source,
    registered_sources,
    store_crawl,
)

if TYPE_CHECKING:
    from pymongo.database import Database

pytestmark = pytest.mark.stack


@pytest.fixture
def database(mongodb: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    ensure_schema(mongodb)
    return mongodb


def crawl_of(*documents: RawDocument, complete: bool = True) -> Crawl:
    return Crawl(source_link="https://example.org", documents=iter(documents), complete=complete)


def test_a_second_crawl_of_the_same_writes_nothing(database: Database[dict[str, Any]]) -> None:
    documents = [article(1), post(1), source_file(1)]
    first = store_crawl(database, crawl_of(*documents), AUTHOR)
    assert (first.found, first.new, first.unchanged) == (3, 3, 0)
    before = {name: list(database[name].find()) for name in ("articles", "posts", "repository_files")}
    second = store_crawl(database, crawl_of(*documents), AUTHOR)
    assert (second.new, second.changed, second.unchanged, second.deleted) == (0, 0, 3, 0)
    assert {name: list(database[name].find()) for name in before} == before


def test_changed_text_is_an_update_and_vanished_documents_are_deletes(database: Database[dict[str, Any]]) -> None:
    store_crawl(database, crawl_of(article(1), article(2), article(3)), AUTHOR)
    result = store_crawl(database, crawl_of(article(1), article(2, "Another text.")), AUTHOR)
    assert (result.unchanged, result.changed, result.deleted) == (1, 1, 1)
    assert {row["content"] for row in database.articles.find()} == {article(1).content, "Another text."}


def test_an_incomplete_crawl_deletes_nothing(database: Database[dict[str, Any]]) -> None:
    store_crawl(database, crawl_of(article(1), article(2)), AUTHOR)
    result = store_crawl(database, crawl_of(article(1), complete=False), AUTHOR)
    assert result.deleted == 0
    assert database.articles.count_documents({}) == 2


def test_another_authors_document_is_left_alone_and_reported(database: Database[dict[str, Any]]) -> None:
    store_crawl(database, crawl_of(article(1)), AUTHOR)
    other = get_or_create_user(database, "Someone Else")
    theirs = article(1, "taken over", author_id=other.id, author_full_name=other.full_name)
    result = store_crawl(database, crawl_of(theirs), other)
    assert "already belongs to Ana Núñez" in result.failed[0]
    assert database.articles.find_one()["content"] == article(1).content  # type: ignore[index]


def test_a_text_too_large_for_the_queue_is_reported_and_the_rest_is_stored(database: Database[dict[str, Any]]) -> None:
    result = store_crawl(database, crawl_of(article(1, "x" * 8_000_000), article(2)), AUTHOR)
    assert result.new == 1
    assert "8,000,000 bytes" in result.failed[0]


def test_skips_and_failures_of_the_source_are_counted(database: Database[dict[str, Any]]) -> None:
    crawl = crawl_of(article(1))
    crawl.skipped = Counter({"binary": 2})
    crawl.failures = [SourceError("https://example.org/broken", "no")]
    result = store_crawl(database, crawl, AUTHOR)
    assert result.skipped == {"binary": 2}
    assert result.failed == ["'https://example.org/broken': no"]


@pytest.mark.parametrize(
    "change", [{"content": None}, {"surprise": 1}, {"author_id": "not a uuid"}, {"crawled_at": "yesterday"}]
)
def test_the_validator_refuses_what_breaks_the_contract(
    database: Database[dict[str, Any]], change: dict[str, Any]
) -> None:
    row = article(1).model_dump(by_alias=True) | {"kind": "article"} | change
    with pytest.raises(WriteError, match="failed validation"):
        database.articles.insert_one(row)


def test_one_user_however_the_name_is_spaced(database: Database[dict[str, Any]]) -> None:
    first = get_or_create_user(database, "Ana  Núñez ")
    assert get_or_create_user(database, "ana núñez") == first
    assert database.users.count_documents({}) == 1


def test_registering_a_link_twice_keeps_one(database: Database[dict[str, Any]]) -> None:
    first = register_source(database, AUTHOR, "https://example.org/blog")
    assert register_source(database, AUTHOR, "https://example.org/blog/").id == first.id
    assert [source.link for source in registered_sources(database)] == ["https://example.org/blog"]


def test_an_error_in_whatever_bytes_is_kept_and_hides_no_source(database: Database[dict[str, Any]]) -> None:
    source = register_source(database, AUTHOR, "https://example.org/blog")
    finish_crawl(database, source, error="remote: \0 \ud800 no")
    [stored] = registered_sources(database)
    assert stored.last_error == r"remote: \0 \ud800 no"
    finish_crawl(database, source, {"found": 1})
    [stored] = registered_sources(database)
    assert (stored.last_error, stored.last_counts) == (None, {"found": 1})


def test_a_server_that_is_down_is_named_without_its_password() -> None:
    with pytest.raises(WarehouseError, match="llmtwin up") as caught:
        connect(Settings(mongodb_url="mongodb://me:secret@127.0.0.1:1/"), timeout_seconds=0.2)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["mongodb://me:sec/ret@host", "mongodb://me:p@:sec@host", "mongodb://host:sec", "http://me:sec@host"]
)
def test_what_is_no_url_is_said_and_nothing_of_a_password_with_it(url: str) -> None:
    with pytest.raises(WarehouseError, match="not a MongoDB URL") as caught:
        connect(Settings(mongodb_url=url))
    assert caught.value.__suppress_context__
    assert "me:" not in str(caught.value)
