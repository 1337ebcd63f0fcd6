"""API keys: shown once, kept as hashes, closed at once."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmtwin.errors import ApiKeyError
from llmtwin.keys import PREFIX, KeyFile


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "gateway" / "keys.json")


def test_a_key_opens_until_it_is_revoked(file: KeyFile) -> None:
    key = file.add("ada")
    assert key.startswith(PREFIX)
    found = file.find(key)
    assert found is not None
    assert found.name == "ada"
    assert file.find(key + "x") is None
    assert file.find("") is None
    file.revoke("ada")
    assert file.find(key) is None
    assert [entry.name for entry in file.entries()] == ["ada"]


def test_a_file_that_is_gone_is_no_file_without_keys(file: KeyFile) -> None:
    assert file.entries() == []
    key = file.add("ada")
    assert file.find(key) is not None
    content = file.path.read_bytes()
    file.path.unlink()
    for _ in range(2):
        with pytest.raises(ApiKeyError, match="is gone"):
            file.find(key)
    file.path.write_bytes(content)
    assert file.find(key) is not None


def test_the_key_itself_is_nowhere_on_disk(file: KeyFile) -> None:
    key = file.add("ada")
    for path in file.path.parent.iterdir():
        assert key not in path.read_text()
        assert key.removeprefix(PREFIX) not in path.read_text()


def test_another_process_s_change_is_seen_at_once(file: KeyFile) -> None:
    other = KeyFile(file.path)
    key = file.add("ada")
    assert other.find(key) is not None
    file.revoke("ada")
    assert other.find(key) is None


def test_many_writers_lose_nothing(file: KeyFile) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda number: KeyFile(file.path).add(f"key-{number}"), range(16)))
    assert all(file.find(key) for key in keys)


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "-x"])
def test_names_that_are_none(file: KeyFile, name: str) -> None:
    with pytest.raises(ApiKeyError, match="no name of a key"):
        file.add(name)


def test_names_are_taken_for_ever_and_unknown_ones_cannot_be_revoked(file: KeyFile) -> None:
    file.add("ada")
    file.revoke("ada")
    with pytest.raises(ApiKeyError, match="already"):
        file.add("ada")
    with pytest.raises(ApiKeyError, match="could be revoked"):
        file.revoke("ada")


@pytest.mark.parametrize("content", ["{", "[]x", '[{"name": "ada"}]', '{"name": "ada"}'])
def test_a_damaged_file_opens_nothing(file: KeyFile, content: str) -> None:
    file.path.parent.mkdir()
    file.path.write_text(content)
    with pytest.raises(ApiKeyError, match="cannot be read"):
        file.find("key")


def test_others_cannot_write_it(file: KeyFile) -> None:
    file.add("ada")
    assert not file.path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
