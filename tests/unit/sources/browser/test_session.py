"""Saved sessions on the disk."""

from __future__ import annotations

import stat
from pathlib import Path

from llmtwin.settings import Settings
from llmtwin.sources.browser import SavedSession

STATE = {"cookies": [{"name": "li_at", "value": "secret"}], "origins": []}


def test_what_was_saved_is_loaded_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    session = SavedSession(Settings(data_dir=tmp_path), "example.org", "jane@example.org")
    assert session.load() is None
    session.save({"cookies": []})
    session.save(STATE)
    assert session.load() == STATE
    assert [path.name for path in session.path.parent.iterdir()] == ["session.json"]
    assert stat.S_IMODE(session.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(session.path.parent.stat().st_mode) == 0o700


def test_each_account_and_each_site_has_its_own(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    accounts = [("a.org", "jane"), ("a.org", "joe"), ("a.org", None), ("b.org", "jane")]
    paths = {SavedSession(settings, site, account).path for site, account in accounts}
    assert len(paths) == 4
    assert SavedSession(settings, "a.org", "Jane").path in paths
    assert all(path.is_relative_to(tmp_path / "browser") for path in paths)
    hostile = SavedSession(settings, "a.org", "../../etc/passwd").path
    assert hostile.resolve().is_relative_to(tmp_path / "browser" / "a.org")


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    session = SavedSession(Settings(data_dir=tmp_path), "example.org", None)
    session.save(STATE)
    for damaged in (b"", b'{"cookies": [', b"[]", b"\xff\xfe"):
        session.path.write_bytes(damaged)
        assert session.load() is None
