"""Registered sources on a real MongoDB: what is crawled, in which pool, and what is said about it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmtwin import crawling
from llmtwin.errors import ForbiddenLinkError, SettingsError, SourceError, UnreachableError, WarehouseError
from llmtwin.settings import Settings
from llmtwin.warehouse import RegisteredSource, ensure_schema, registered_sources

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


def test_subdomains_of_a_platform_share_a_pool(database: Warehouse, settings: Settings) -> None:
    links = [f"https://{name}.substack.com" for name in "abcdefgh"]
    sources = crawling.sources_to_crawl(database, "Ana", links, settings)
    pools = crawling.by_pool(sources, ["one", "two", "three", "four"])
    assert sorted(map(len, pools.values())) == [0, 0, 0, 8]


def links_of(sources: list[RegisteredSource]) -> set[str]:
    return {source.link for source in sources}


def test_what_sources_yaml_names_is_crawled_and_what_it_names_no_more_is_not(
    database: Warehouse, settings: Settings, note: Path, tmp_path: Path
) -> None:
    allowed = settings.model_copy(update={"crawl_allow_local": True})
    file = settings.declared_sources
    file.write_text(f"Ana:\n  - {note}\n  - https://ana.example\nBob:\n  - https://bob.example\n")
    crawling.sources_to_crawl(database, "Ana", ["https://ana.example/", "https://by-hand.example"], settings)
    everything = crawling.sources_to_crawl(database, None, [], settings)
    bob, by_hand = "https://bob.example", "https://by-hand.example"
    assert links_of(everything) == {note.as_uri(), "https://ana.example/", bob, by_hand}
    [source] = [source for source in everything if source.link == note.as_uri()]
    crawling.crawl_source(database, source, allowed)

    file.write_text("Bob:\n  - https://bob.example\n")
    assert links_of(crawling.sources_to_crawl(database, None, [], settings)) == {"https://ana.example/", bob, by_hand}
    assert database.articles.count_documents({}) == 1, "its documents stay"
    file.unlink()
    assert links_of(crawling.sources_to_crawl(database, None, [], settings)) == {"https://ana.example/", by_hand}


def test_a_mistake_in_sources_yaml_stops_what_needs_it_and_changes_nothing(
    database: Warehouse, settings: Settings
) -> None:
    settings.declared_sources.write_text("Ana:\n  - https://ana.example\n")
    crawling.sources_to_crawl(database, None, [], settings)
    settings.declared_sources.write_text("Ana:\n")
    with pytest.raises(SettingsError, match="line 1, Ana"):
        crawling.sources_to_crawl(database, None, [], settings)
    assert links_of(registered_sources(database)) == {"https://ana.example"}
    assert crawling.sources_to_crawl(database, "Bob", ["https://bob.example"], settings), "it needs no file"


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str] | SourceError]:
    """What each link stands for; a link that is not in it stands for itself."""
    lists: dict[str, list[str] | SourceError] = {}

    def expand(link: str, _: Settings) -> list[str]:
        found = lists.get(link, [link])
        if isinstance(found, SourceError):
            raise found
        return found

    monkeypatch.setattr(crawling.sources, "expand", expand)
    return lists


def test_each_source_that_a_link_stands_for_is_crawled_on_its_own(
    database: Warehouse, settings: Settings, note: Path, tmp_path: Path, listing: dict[str, list[str] | SourceError]
) -> None:
    user = "https://github.com/ana"
    second = tmp_path / "second.md"
    second.write_text("# Second\n\nAnother text, as long as the first.\n")
    allowed = settings.model_copy(update={"crawl_allow_local": True})
    listing[user] = [note.as_uri(), second.as_uri()]
    first = crawling.sources_to_crawl(database, "Ana", [user], settings)
    assert links_of(first) == {note.as_uri(), second.as_uri()}
    for source in first:
        crawling.crawl_source(database, source, allowed)
    [stands_for_both] = [source for source in registered_sources(database) if source.link == user]
    assert stands_for_both.last_crawled_at is not None
    summary = crawling.summarize(database, [str(source.id) for source in first], stands_for_both.registered_at)
    assert (summary[0]["successful"], summary[0]["new"]) == (2, 2)

    third = "https://example.org/third"
    listing[user] = [note.as_uri(), third]
    again = links_of(crawling.sources_to_crawl(database, None, [], settings))
    assert again == {note.as_uri(), second.as_uri(), third}, "one that is listed no more is crawled, and so missed"
    database.articles.delete_one({"link": second.as_uri()})
    assert links_of(crawling.sources_to_crawl(database, None, [], settings)) == {note.as_uri(), third}

    listing[user] = UnreachableError(user, "no answer")
    assert links_of(crawling.sources_to_crawl(database, None, [], settings)) == {user, note.as_uri(), third}

    settings.declared_sources.write_text(f"Ana:\n  - {third}\n")
    listing[user] = [note.as_uri()]
    assert links_of(crawling.sources_to_crawl(database, None, [], settings)) == {note.as_uri(), third}
    assert links_of(crawling.sources_to_crawl(database, None, [], settings)) == {note.as_uri(), third}, "it is declared"
    settings.declared_sources.unlink()

    crawling.sources_to_crawl(database, None, [], settings)
    crawling.forget_source(database, None, user)
    assert registered_sources(database) == []
    assert database.articles.count_documents({}) == 1


def test_what_is_forgotten_is_crawled_no_more(database: Warehouse, settings: Settings, note: Path) -> None:
    settings.declared_sources.write_text("Cleo:\n  - https://cleo.example\n")
    crawling.sources_to_crawl(database, "Ana", [str(note), "https://shared.example"], settings)
    crawling.sources_to_crawl(database, "Bob", ["https://shared.example"], settings)
    crawling.all_sources(database, None, settings)
    with pytest.raises(WarehouseError, match="not registered for Bob; see `llmtwin sources`"):
        crawling.forget_source(database, "Bob", str(note))
    with pytest.raises(WarehouseError, match="registered for Ana, Bob: say whose"):
        crawling.forget_source(database, None, "https://shared.example/")
    with pytest.raises(WarehouseError, match=r"stands in sources\.yaml: remove it there"):
        crawling.forget_source(database, None, "https://cleo.example")
    crawling.forget_source(database, None, str(note))
    crawling.forget_source(database, "bob", "https://shared.example/")
    left = [(source.link, source.author_full_name) for source in crawling.all_sources(database, None, settings)]
    assert left == [("https://shared.example", "Ana"), ("https://cleo.example", "Cleo")]


def test_a_source_of_an_earlier_version_was_given_by_hand(database: Warehouse, settings: Settings) -> None:
    [source] = crawling.sources_to_crawl(database, "Ana", ["https://ana.example"], settings)
    database.sources.update_one({"_id": source.id}, {"$unset": {"by_hand": "", "declared": "", "listed_by": ""}})
    assert crawling.sources_to_crawl(database, None, [], settings) == [source]
    crawling.forget_source(database, None, "https://ana.example")
    assert registered_sources(database) == []
