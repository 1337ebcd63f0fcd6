"""`llmtwin import` on a real MongoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import Result
from tests.unit.sources.exports.exports import linkedin, medium, share, substack, table, zipped
from typer.testing import CliRunner

from llmtwin.cli import app
from llmtwin.errors import SettingsError
from llmtwin.settings import Settings, get_settings

if TYPE_CHECKING:
    from pymongo.database import Database

pytestmark = pytest.mark.stack


@pytest.fixture
def llmtwin(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """The command line on the test's MongoDB."""
    monkeypatch.setenv("MONGODB_URL", settings.mongodb)
    monkeypatch.setenv("LLMTWIN_MONGODB_DATABASE", settings.mongodb_database)
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(app, ["import", *map(str, arguments)])
    get_settings.cache_clear()


def counts(output: str) -> list[int]:
    """Return the numbers of the table's last row."""
    return [int(word) for word in output.strip().splitlines()[-1].split() if word.isdigit()]


def test_an_export_is_imported_from_where_the_user_is(
    llmtwin: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mongodb: Database[dict[str, Any]]
) -> None:
    zipped(tmp_path / "export.zip", linkedin(share(1, "A post."), share(2, "")))
    monkeypatch.chdir(tmp_path)
    first = llmtwin("export.zip", "--author", "Ana Núñez")
    assert first.exit_code == 0, first.output
    assert mongodb.posts.count_documents({"author_full_name": "Ana Núñez"}) == 1
    second = llmtwin("export.zip", "--author", "Ana Núñez")
    assert second.exit_code == 0
    assert (counts(first.output)[:4], counts(second.output)[:4]) == ([2, 2, 0, 0], [2, 0, 0, 2])


def test_options_reach_the_source(
    llmtwin: Callable[..., Result], tmp_path: Path, mongodb: Database[dict[str, Any]]
) -> None:
    llmtwin(zipped(tmp_path / "medium.zip", medium()), "--author", "Ana", "--drafts")
    assert mongodb.articles.count_documents({"link": "https://medium.com/p/abcdef012345"}) == 1
    path = zipped(tmp_path / "substack.zip", substack())
    llmtwin(path, "--author", "Ana", "--podcasts", "--site", "https://ana.substack.com")
    assert mongodb.articles.count_documents({"link": {"$regex": "^https://ana.substack.com/p/(owls|talking)$"}}) == 2


def test_failures_are_told_and_end_with_1(
    llmtwin: Callable[..., Result], tmp_path: Path, mongodb: Database[dict[str, Any]]
) -> None:
    members = linkedin() | {"Shares.csv": table(("Datum", "Kommentar"), [("2024-03-05", "Hallo")])}
    partly = llmtwin(zipped(tmp_path / "german.zip", members), "--author", "Ana")
    assert partly.exit_code == 1
    assert "german.zip!/Shares.csv" in partly.output
    assert "it has 'Datum', 'Kommentar'" in partly.output
    assert mongodb.articles.count_documents({}) == 1
    nothing = llmtwin(tmp_path / "nowhere[/bold].zip", "--author", "Ana")
    assert nothing.exit_code == 1
    assert "No such file" in nothing.output
    assert isinstance(llmtwin(tmp_path, "--author", "Ana", "--site", "x").exception, SettingsError)
