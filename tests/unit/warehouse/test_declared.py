"""sources.yaml: what it may say, and how a mistake in it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import HOME

from llmtwin.errors import SettingsError
from llmtwin.warehouse import declared_sources


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sources.yaml"


def test_the_links_of_each_author(file: Path) -> None:
    file.write_text("Ana Núñez:\n  - https://ana.example/blog\n  - notes # local\n山田:\n  - https://x.example\n")
    assert declared_sources(file) == {"Ana Núñez": ["https://ana.example/blog", "notes"], "山田": ["https://x.example"]}


def test_without_a_file_or_with_nothing_in_it_nothing_is_declared(file: Path) -> None:
    assert declared_sources(file) == {}
    file.write_text("# nobody yet\n")
    assert declared_sources(file) == {}


def test_the_example_is_valid() -> None:
    assert declared_sources(HOME / "sources.example.yaml")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("Ana:\n  - https://a.example\n  - 3\n", "line 3, Ana, link 2: Input should be a valid string"),
        ("Ana:\n  - a\nBob:\n", "line 3, Bob: Input should be a valid list"),
        ("Ana:\n  - a\nBob: b\n", "line 3, Bob: Input should be a valid list"),
        ("Ana: []\n", "line 1, Ana: List should have at least 1 item"),
        ("Ana:\n  - a\n  - ' '\n", "line 3, Ana, link 2: String should match"),
        ("Ana:\n  - link: a\n", "line 2, Ana, link 1: Input should be a valid string"),
        ("Ana:\n  - a\n3:\n  - b\n", "line 3, 3: Input should be a valid string"),
        ("# authors\n- Ana\n", "line 2, the file: Input should be a valid dictionary"),
        ("Ana:\n  - a\n' ana':\n  - b\n", "line 3: ' ana' stands already in line 1; join them"),
        ("Ana:\n  - a\n Bob: [\n", "line 3: no YAML: "),
        ("? [Ana]\n: - a\n", "line 1: no YAML: found unhashable key"),
        ("Ana:\n  - 2024-02-30\n", "no YAML: day is out of range"),
        ("Ana:\n  - !!python/name:os.system a\n", "line 2: no YAML: could not determine a constructor"),
        ('Ana:\n  - "\\0"\n', "line 2, Ana, link 1: .*NUL"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_field(file: Path, content: str, complaint: str) -> None:
    file.write_text(content)
    with pytest.raises(SettingsError, match=rf"sources\.yaml(:|,) {complaint}"):
        declared_sources(file)


def test_what_is_no_text_or_no_file(file: Path) -> None:
    file.write_bytes("Ana:\n  - café\n".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"sources\.yaml: no YAML: "):
        declared_sources(file)
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        declared_sources(file.parent)
