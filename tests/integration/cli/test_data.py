"""`llmtwin crawl` and `llmtwin sources` on a real MongoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from llmtwin.cli import app
from llmtwin.errors import WarehouseError
from llmtwin.settings import Settings, get_settings, settings_environment

pytestmark = pytest.mark.stack


@pytest.fixture
def llmtwin(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """The command line, on the test's servers."""
    for name, value in settings_environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "300")
    get_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])
    get_settings.cache_clear()


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "[red]note.md"
    path.write_text("# A note\n\nIt says something worth keeping.\n")
    return path


def row(output: str, begins: str) -> list[str]:
    [line] = [line for line in output.splitlines() if line.startswith(begins)]
    return line.removeprefix(begins).split()


def test_a_crawl_shows_each_link_and_sums_them_by_domain(llmtwin: Callable[..., Result], note: Path) -> None:
    one = llmtwin("crawl", "--author", "Ana Núñez", note)
    assert one.exit_code == 0, one.output
    assert row(one.output, "link") == ["found", "new", "changed", "unchanged", "missed", "deleted", "skipped", "failed"]
    assert row(one.output, note.as_uri()) == ["1", "1", "0", "0", "0", "0", "0", "0"]
    assert "domain" not in one.output

    other = note.with_name("other.md")
    other.write_text("# Another\n\nIt says something else.\n")
    several = llmtwin("crawl", "--author", "Ana Núñez", note, other, "ftp://example.org/x")
    assert several.exit_code == 1
    assert row(several.output, note.as_uri()) == ["1", "0", "0", "1", "0", "0", "0", "0"]
    assert row(several.output, "local ") == ["2", "1", "0", "1", "0", "0", "0", "0"]
    assert row(several.output, "example.org") == ["0", "0", "0", "0", "0", "0", "0", "1"]
    assert "failed: 'ftp://example.org/x': has the scheme 'ftp'" in several.output


def test_sources_are_listed_and_forgotten(llmtwin: Callable[..., Result], note: Path, settings: Settings) -> None:
    settings.declared_sources.write_text("Bob:\n  - https://127.0.0.1:1/\n")
    assert llmtwin("crawl", "--author", "Ana", note).exit_code == 0
    listed = llmtwin("sources")
    assert listed.exit_code == 0, listed.output
    assert row(listed.output, note.as_uri())[:4] == ["Ana", "command", "or", "form"]
    assert row(listed.output, note.as_uri())[-4:] == ["1", "found,", "1", "new"]
    assert row(listed.output, "https://127.0.0.1:1/") == ["Bob", "sources.yaml", "never"]
    assert llmtwin("crawl", "--author", "Bob").exit_code == 1
    assert "failed: 'https://127.0.0.1:1/'" in llmtwin("sources").output
    assert "note" not in llmtwin("sources", "--author", "bob").output

    forgotten = llmtwin("sources", "--forget", note)
    assert forgotten.output == f"{note.as_uri()} of Ana is crawled no more\n"
    assert note.as_uri() not in llmtwin("sources").output
    assert isinstance(llmtwin("sources", "--forget", note).exception, WarehouseError)
