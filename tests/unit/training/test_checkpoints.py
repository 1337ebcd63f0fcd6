"""Checkpoints are whole, or they are not taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmtwin.training.checkpoints import newest, seal, step_of


def checkpoint(folder: Path, step: int, sealed: bool = True) -> Path:
    """Write a checkpoint as a trainer does."""
    path = folder / f"checkpoint-{step}"
    (path / "ref").mkdir(parents=True)
    (path / "adapter_model.safetensors").write_bytes(bytes(range(256)) * 40)
    (path / "ref" / "adapter_model.safetensors").write_bytes(b"reference")
    (path / "trainer_state.json").write_text("{}")
    if sealed:
        seal(path)
    return path


def test_the_newest_is_the_one_of_the_highest_step(tmp_path: Path) -> None:
    for step in (50, 100, 9):
        checkpoint(tmp_path, step)
    assert newest(tmp_path) == tmp_path / "checkpoint-100"
    assert step_of(newest(tmp_path)) == 100


def test_there_may_be_none(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "checkpoint-x").mkdir()
    assert newest(tmp_path) is None
    assert newest(tmp_path / "nowhere") is None
    assert step_of(None) == 0


def test_one_that_was_not_finished_is_passed_over_and_removed(tmp_path: Path) -> None:
    before = checkpoint(tmp_path, 50)
    half = checkpoint(tmp_path, 100, sealed=False)
    assert newest(tmp_path) == before
    assert not half.exists()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "ref/adapter_model.safetensors", "complete.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_one_that_is_damaged_is_passed_over(tmp_path: Path, name: str, damage: str) -> None:
    before = checkpoint(tmp_path, 50)
    file = checkpoint(tmp_path, 100) / name
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[:-3] if damage == "cut" else b"[" + content[1:])
    assert newest(tmp_path) == before


def test_sealing_the_same_one_twice_does_no_harm(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 50)
    seal(path)
    assert newest(tmp_path) == path
