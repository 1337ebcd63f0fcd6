"""Registered sources on a real MongoDB: what is crawled, in which pool, and what is said about it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmtwin import crawling
from llmtwin.errors import ForbiddenLinkError, SettingsError
from llmtwin.settings import Settings
from llmtwin.warehouse import ensure_schema, registered_sources

if TYPE_CHECKING:
    from pymongo.database import Database

    Warehouse = Database[dict[str, Any]]

pytestmark = pytest.mark.stack


@pytest.fixture
def database(mongodb: Warehouse) -> Warehouse:
    ensure_schema(mongodb)
    return mongodb


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.md"
    path.write_text("# A note\n\nIt says something worth keeping, in a sentence or two.\n")
    return path


def test_links_are_registered_once_and_crawled_again_without_being_named(
    database: Warehouse, settings: Settings, note: Path
) -> None:
    first = crawling.sources_to_crawl(database, "Ana Núñez", [str(note), " ", f" {note} "], settings)
    assert [source.link for source in first] == [note.as_uri()]
    crawling.sources_to_crawl(database, "Someone Else", ["https://example.org"], settings)
    assert len(crawling.sources_to_crawl(database, None, [], settings)) == 2
    assert len(crawling.sources_to_crawl(database, "", [], settings)) == 2, "an empty field of the form"
    assert crawling.sources_to_crawl(database, " ana  núñez", [], settings) == first


@pytest.mark.parametrize(
    ("author", "links", "complaint"),
    [
        (None, ["https://example.org"], "links need an author"),
        ("  ", ["https://example.org"], "links need an author"),
        (
            "Ana",
            ["https://example.org", "https://example.org/\0"],
            r"example.org/\\x00' can be no author or link: .*NUL",
        ),
        ("Ana", ["https://example.org/\ud800"], r"ud800' can be no author or link"),
        ("A\0na", ["https://example.org"], r"'A\\x00na' can be no author or link: .*NUL"),
    ],
)
def test_what_cannot_be_registered_is_named_and_nothing_is(
    database: Warehouse, settings: Settings, author: str | None, links: list[str], complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint):
        crawling.sources_to_crawl(database, author, links, settings)
    assert registered_sources(database) == []


def test_how_a_crawl_went_is_kept_with_its_source_and_summed_by_domain(
    database: Warehouse, settings: Settings, note: Path
) -> None:
    since = datetime.now(UTC)
    allowed = settings.model_copy(update={"crawl_allow_local": True})
    links = [str(note), "http://127.0.0.1:1/", "https://never.example"]
    sources = crawling.sources_to_crawl(database, "Ana", links, settings)
    assert crawling.crawl_source(database, sources[0], allowed)["new"] == 1
    assert crawling.crawl_source(database, sources[0], allowed)["unchanged"] == 1
    with pytest.raises(ForbiddenLinkError):
        crawling.crawl_source(database, sources[1], settings)
    summary = {row["domain"]: row for row in crawling.summarize(database, [str(s.id) for s in sources], since)}
    assert (summary["local"]["successful"], summary["local"]["total"], summary["local"]["unchanged"]) == (1, 1, 1)
    assert "127.0.0.1" in summary["127.0.0.1"]["failed"][0]
    assert summary["never.example"]["failed"] == ["'https://never.example': its crawl did not finish"]
    text = crawling.summary_text(summary.values())
    assert "local: 1 of 1 links crawled" in text
    assert "failed: 'https://never.example'" in text
    assert "no source is registered" in crawling.summary_text([])


def test_all_links_of_a_site_fall_into_one_pool(database: Warehouse, settings: Settings) -> None:
    links = [f"https://{host}.example/{number}" for host in "abcdef" for number in range(3)]
    sources = crawling.sources_to_crawl(database, "Ana", links, settings)
    pools = crawling.by_pool(sources, ["one", "two", "three"])
    assert sorted(entry["link"] for pool in pools.values() for entry in pool) == links
    of_domain: dict[str, set[str]] = {}
    for pool, entries in pools.items():
        for entry in entries:
            of_domain.setdefault(entry["link"].split("/")[2], set()).add(pool)
    assert {len(pools_of) for pools_of in of_domain.values()} == {1}
