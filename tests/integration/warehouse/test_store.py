"""The warehouse on a real MongoDB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from pymongo.errors import WriteError
from tests.documents import AUTHOR, WHEN, article, post, source_file

from llmtwin.documents import RawDocument, Repository, document_id
from llmtwin.errors import SourceError, UnreachableError, WarehouseError
from llmtwin.settings import Settings
from llmtwin.sources import Crawl
from llmtwin.warehouse import (
    begin_crawl,
    connect,
    ensure_schema,
    finish_crawl,
    forget_source,
    get_or_create_user,
    known,
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


SOURCE = "https://example.org"
PARENT = Repository(
    id=document_id("repository", "https://example.org/repo"),
    author_id=AUTHOR.id,
    author_full_name=AUTHOR.full_name,
    link="https://example.org/repo",
    source_link=SOURCE,
    name="repo",
    commit="1" * 40,
    files=1,
    left_out={"0:python": "empty"},
    crawled_at=WHEN,
)


def crawl_of(*documents: RawDocument, complete: bool = True, source_link: str = SOURCE, **more: Any) -> Crawl:
    of_source = [document.model_copy(update={"source_link": source_link}) for document in documents]
    return Crawl(source_link, documents=iter(of_source), complete=complete, **more)


def links_in(database: Database[dict[str, Any]]) -> dict[str, str]:
    """The source of every article, by its link."""
    return {row["link"]: row["source_link"] for row in database.articles.find()}


def test_a_second_crawl_of_the_same_writes_nothing(database: Database[dict[str, Any]]) -> None:
    documents = [article(1), post(1), source_file(1)]
    first = store_crawl(database, crawl_of(*documents), AUTHOR)
    assert (first.found, first.new, first.unchanged) == (3, 3, 0)
    before = {name: list(database[name].find()) for name in ("articles", "posts", "repository_files")}
    second = store_crawl(database, crawl_of(*documents), AUTHOR)
    assert (second.new, second.changed, second.unchanged, second.deleted) == (0, 0, 3, 0)
    assert {name: list(database[name].find()) for name in before} == before


def test_changed_text_is_an_update(database: Database[dict[str, Any]]) -> None:
    store_crawl(database, crawl_of(article(1), article(2)), AUTHOR)
    result = store_crawl(database, crawl_of(article(1), article(2, "Another text.")), AUTHOR)
    assert (result.unchanged, result.changed, result.deleted) == (1, 1, 0)
    assert {row["content"] for row in database.articles.find()} == {article(1).content, "Another text."}


def test_what_vanished_is_deleted_after_two_misses_in_a_row(database: Database[dict[str, Any]]) -> None:
    store_crawl(database, crawl_of(article(1), article(2), post(1)), AUTHOR)
    before = list(database.articles.find())
    first = store_crawl(database, crawl_of(article(1)), AUTHOR)
    assert (first.missed, first.deleted) == (2, 0)
    assert list(database.articles.find()) == before, "a miss is no change of the document, which would be an event"
    second = store_crawl(database, crawl_of(article(1)), AUTHOR)
    assert (second.missed, second.deleted) == (0, 2)
    assert links_in(database).keys() == {article(1).link}
    assert database.posts.count_documents({}) == database.misses.count_documents({}) == 0


@pytest.mark.parametrize("how", ["yielded", "changed", "unchanged", "yielded by another source"])
def test_what_comes_back_has_not_been_missed(database: Database[dict[str, Any]], how: str) -> None:
    store_crawl(database, crawl_of(article(1), article(2)), AUTHOR)
    store_crawl(database, crawl_of(article(1)), AUTHOR)
    back = {
        "yielded": crawl_of(article(1), article(2)),
        "changed": crawl_of(article(1), article(2, "Another text.")),
        "unchanged": crawl_of(article(1), unchanged={article(2).link}),
        "yielded by another source": crawl_of(article(2), source_link="https://example.org/feed"),
    }[how]
    store_crawl(database, back, AUTHOR)
    assert store_crawl(database, crawl_of(article(1)), AUTHOR).deleted == 0
    assert article(2).link in links_in(database)


def test_an_export_is_no_sign_of_life(database: Database[dict[str, Any]]) -> None:
    store_crawl(database, crawl_of(article(1)), AUTHOR)
    store_crawl(database, crawl_of(), AUTHOR)
    store_crawl(database, crawl_of(article(1), source_link="export:example.org:ana", complete=False), AUTHOR)
    assert store_crawl(database, crawl_of(), AUTHOR).deleted == 1


def test_a_crawl_that_failed_for_a_document_has_not_missed_it(database: Database[dict[str, Any]]) -> None:
    store_crawl(database, crawl_of(article(1), article(2), article(3)), AUTHOR)
    for deleted in (0, 1):
        failures: list[SourceError] = [UnreachableError(f"{article(2).link}/", "no answer")]
        result = store_crawl(database, crawl_of(article(1), failures=failures), AUTHOR)
        assert result.deleted == deleted
    assert links_in(database).keys() == {article(1).link, article(2).link}


def test_files_of_a_repository_are_deleted_at_once(database: Database[dict[str, Any]]) -> None:
    store_crawl(database, crawl_of(source_file(1), source_file(2), repository=PARENT), AUTHOR)
    result = store_crawl(database, crawl_of(source_file(1), repository=PARENT), AUTHOR)
    assert (result.missed, result.deleted) == (0, 1)
    assert [row["path"] for row in database.repository_files.find()] == ["file_1.py"]


def test_two_crawls_at_the_same_time_miss_a_document_once(database: Database[dict[str, Any]]) -> None:
    store_crawl(database, crawl_of(article(1)), AUTHOR)

    def nothing_while_another_crawl_runs() -> Iterator[RawDocument]:
        assert store_crawl(database, crawl_of(), AUTHOR).missed == 1
        yield from ()

    crawl = crawl_of()
    crawl.documents = nothing_while_another_crawl_runs()
    assert store_crawl(database, crawl, AUTHOR).deleted == 0
    assert store_crawl(database, crawl_of(), AUTHOR).deleted == 1


def test_what_a_crawl_need_not_read_again_counts_as_found(database: Database[dict[str, Any]]) -> None:
    store_crawl(database, crawl_of(article(1), article(2)), AUTHOR)
    result = store_crawl(database, crawl_of(article(1), unchanged={article(2).link}), AUTHOR)
    assert (result.found, result.unchanged, result.missed) == (2, 2, 0)


def test_what_is_known_of_a_source(database: Database[dict[str, Any]]) -> None:
    other = crawl_of(article(2), source_link="https://example.org/feed")
    store_crawl(database, crawl_of(article(1), source_file(1), repository=PARENT), AUTHOR)
    store_crawl(database, other, AUTHOR)
    assert known(database, AUTHOR)(SOURCE) == {
        article(1).link: article(1).content_hash,
        source_file(1).link: source_file(1).blob_id,
        PARENT.link: PARENT.commit,
        "0:python": "empty",
    }
    assert known(database, AUTHOR)("https://example.org/new") == {}
    assert known(database, get_or_create_user(database, "Someone Else"))(SOURCE) == {}


def test_a_document_stays_with_the_first_source_that_is_crawled_on(database: Database[dict[str, Any]]) -> None:
    first = register_source(database, AUTHOR, SOURCE)
    begin_crawl(database, first, SOURCE)
    store_crawl(database, crawl_of(article(1)), AUTHOR)
    feed = "https://example.org/feed"
    result = store_crawl(database, crawl_of(article(1), source_link=feed), AUTHOR)
    assert (result.unchanged, result.changed) == (1, 0)
    result = store_crawl(database, crawl_of(article(1, "As the feed has it."), source_link=feed), AUTHOR)
    assert (result.changed, result.skipped) == (0, {"held by another source": 1})
    assert links_in(database) == {article(1).link: SOURCE}
    forget_source(database, first)
    result = store_crawl(database, crawl_of(article(1, "As the feed has it."), source_link=feed), AUTHOR)
    assert (result.changed, links_in(database)) == (1, {article(1).link: feed})


def test_a_source_takes_over_what_another_has_lost(database: Database[dict[str, Any]]) -> None:
    begin_crawl(database, register_source(database, AUTHOR, SOURCE), SOURCE)
    store_crawl(database, crawl_of(article(1)), AUTHOR)
    store_crawl(database, crawl_of(), AUTHOR)
    feed = "https://example.org/feed"
    assert store_crawl(database, crawl_of(article(1), source_link=feed), AUTHOR).changed == 1
    assert store_crawl(database, crawl_of(), AUTHOR).deleted == 0
    assert links_in(database) == {article(1).link: feed}


def test_a_live_source_takes_over_from_an_export_and_never_the_other_way(database: Database[dict[str, Any]]) -> None:
    export = {"source_link": "export:example.org:ana", "complete": False}
    assert store_crawl(database, crawl_of(article(1), article(2), **export), AUTHOR).new == 2
    assert store_crawl(database, crawl_of(article(1), article(2), **export), AUTHOR).unchanged == 2
    assert store_crawl(database, crawl_of(article(1)), AUTHOR).changed == 1
    result = store_crawl(database, crawl_of(article(1, "Older."), article(2, "Newer."), **export), AUTHOR)
    assert (result.changed, result.skipped) == (1, {"held by another source": 1})
    assert store_crawl(database, crawl_of(article(1), **export), AUTHOR).unchanged == 1
    assert links_in(database) == {article(1).link: SOURCE, article(2).link: "export:example.org:ana"}
    assert {row["content"] for row in database.articles.find()} == {article(1).content, "Newer."}


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
