"""Exports imported into a real MongoDB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.sources.exports.exports import Members, linkedin, medium, share, substack, tweet, x, zipped

from llmtwin import crawling
from llmtwin.errors import SettingsError, UnreachableError
from llmtwin.settings import Settings
from llmtwin.sources import ImportOptions
from llmtwin.warehouse import ensure_schema, registered_sources

if TYPE_CHECKING:
    from pymongo.database import Database

    Warehouse = Database[dict[str, Any]]

pytestmark = pytest.mark.stack

EXPORTS = {
    "linkedin": linkedin(share(1, "A post."), share(2, "")),
    "medium": medium(),
    "substack": substack(),
    "x": x(tweet(1, "A tweet."), tweet(2, "Another, with an umlaut: ü.")),
}


@pytest.fixture
def allowed(settings: Settings, mongodb: Warehouse) -> Settings:
    ensure_schema(mongodb)
    return settings.model_copy(update={"crawl_allow_local": True})


def changes_of(database: Warehouse, path: Path, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """Import an export; return the counts and every change that it made, which is what events are made of."""
    with database.watch() as stream:
        result = crawling.import_export(database, "Ana Núñez", str(path), settings, ImportOptions())
        database["end"].insert_one({})
        changes = []
        for change in stream:
            if change["ns"]["coll"] == "end":
                return result, changes
            changes.append(f"{change['operationType']} {change['ns']['coll']}")
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("name", EXPORTS)
def test_importing_an_export_again_changes_nothing(
    name: str, mongodb: Warehouse, allowed: Settings, tmp_path: Path
) -> None:
    path = zipped(tmp_path / "export.zip", EXPORTS[name])
    first, changes = changes_of(mongodb, path, allowed)
    assert first["new"] == first["found"] > 0
    assert len([change for change in changes if not change.endswith("users")]) == first["new"]
    assert first["failed"] == []
    second, changes = changes_of(mongodb, path, allowed)
    assert (second["new"], second["changed"], second["unchanged"]) == (0, 0, first["found"])
    assert changes == []


def test_a_newer_export_adds_and_updates_and_an_older_one_deletes_nothing(
    mongodb: Warehouse, allowed: Settings, tmp_path: Path
) -> None:
    def imported(members: Members) -> dict[str, Any]:
        path = zipped(tmp_path / "export.zip", members)
        return crawling.import_export(mongodb, "Ana", str(path), allowed, ImportOptions())

    assert imported(linkedin(share(1, "One."), share(2, "Two.")))["new"] == 3
    newer = imported(linkedin(share(3, "Three."), share(1, "One, edited.")))
    assert (newer["new"], newer["changed"], newer["deleted"]) == (1, 1, 0)
    assert {row["content"] for row in mongodb.posts.find()} == {"One, edited.", "Two.", "Three."}


def test_an_import_is_not_registered(mongodb: Warehouse, allowed: Settings, tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", EXPORTS["linkedin"])
    crawling.import_export(mongodb, "Ana", str(path), allowed, ImportOptions())
    assert registered_sources(mongodb) == []


def test_what_is_wrong_with_an_import_is_told_and_nothing_is_written(
    mongodb: Warehouse, allowed: Settings, tmp_path: Path
) -> None:
    path = zipped(tmp_path / "export.zip", EXPORTS["linkedin"])
    for author in (None, " ", "A\0na"):
        with pytest.raises(SettingsError):
            crawling.import_export(mongodb, author, str(path), allowed, ImportOptions())
    with pytest.raises(UnreachableError):
        crawling.import_export(mongodb, "Ana", "nowhere.zip", allowed, ImportOptions())
    assert mongodb.posts.count_documents({}) == mongodb.articles.count_documents({}) == 0


def test_the_summary_has_a_row_for_each_export(mongodb: Warehouse, allowed: Settings, tmp_path: Path) -> None:
    path = str(zipped(tmp_path / "export.zip", EXPORTS["substack"]))
    options = {"drafts": False, "podcasts": True, "site": "ana.substack.com"}
    good = crawling.import_row(mongodb, path, allowed, "Ana", **options)
    assert (good["successful"], good["found"], good["new"], good["skipped"], good["failed"]) == (1, 2, 2, 1, [])
    bad = crawling.import_row(mongodb, path, allowed, None, **options)
    assert (bad["successful"], bad["found"], bad["failed"][0][:25]) == (0, 0, "an import needs an author")
    worse = crawling.import_row(mongodb, path, allowed, "Ana", **options | {"site": "nowhere"})
    assert "no address of a publication" in worse["failed"][0]
    text = crawling.summary_text(crawling.summarize_imports([path, "cut.zip"], [good, None]))
    assert "2 new" in text
    assert "'cut.zip': its import did not finish" in text
