from __future__ import annotations

from pathlib import Path

from llmtwin.local.logs import FollowedFile, last_lines


def test_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log, 2) == []
    log.write_bytes(b"one\ntwo\nthr\xffee")
    assert last_lines(log, 2) == ["two", "thr\ufffdee"]
    assert last_lines(log, 0) == []


def test_following_starts_at_the_end_and_waits_for_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    followed = FollowedFile(log)
    assert followed.new_lines() == []
    with log.open("a") as file:
        file.write("one\nha")
        file.flush()
        assert followed.new_lines() == ["one"]
        file.write("lf\n")
        file.flush()
        assert followed.new_lines() == ["half"]


def test_a_log_that_appears_later_is_followed_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    followed = FollowedFile(log)
    assert followed.new_lines() == []
    log.write_text("first\n")
    assert followed.new_lines() == ["first"]


def test_a_rotated_log_loses_no_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    followed = FollowedFile(log)
    with log.open("a") as file:
        file.write("last words\n")
    log.rename(tmp_path / "log.1")
    log.write_text("new\n")
    assert followed.new_lines() == ["last words", "new"]
