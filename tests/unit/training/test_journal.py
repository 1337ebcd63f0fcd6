"""The journal is read while it is written, and cut back where training goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmtwin.training.journal import Journal, Line, curve

STAGES = ("sft", "dpo")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Two stages, the first evaluated at its beginning and end."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append({"stage": "sft", "step": 0, "of": 3, "eval_loss": 4.0})
    for step in (1, 2, 3):
        journal.append({"stage": "sft", "step": step, "of": 3, "loss": 4.0 - step})
    journal.append({"stage": "sft", "step": 3, "of": 3, "eval_loss": 2.0})
    journal.append({"stage": "dpo", "step": 1, "of": 2, "loss": 0.5})
    return journal


def places(lines: list[Line]) -> list[tuple[str, int]]:
    return [(line["stage"], line["step"]) for line in lines]


def test_a_curve_is_one_metrics_values(journal: Journal) -> None:
    assert curve(journal.lines()) == [("sft", 1, 3.0), ("sft", 2, 2.0), ("sft", 3, 1.0), ("dpo", 1, 0.5)]
    assert curve(journal.lines(), "eval_loss") == [("sft", 0, 4.0), ("sft", 3, 2.0)]


def test_a_follower_yields_every_line_once_and_none_that_is_half_written(journal: Journal) -> None:
    follower = journal.follow()
    assert len(list(follower)) == 6
    assert list(follower) == []
    with journal.path.open("ab") as file:
        file.write(b'{"stage": "dpo", "step": 2,')
        file.flush()
        assert list(follower) == []
        file.write(b' "of": 2}\n')
    assert places(list(follower)) == [("dpo", 2)]


@pytest.mark.parametrize(
    ("stage", "step", "kept"),
    [
        ("sft", 2, [("sft", 0), ("sft", 1), ("sft", 2)]),
        ("sft", 3, [("sft", 0), ("sft", 1), ("sft", 2), ("sft", 3), ("sft", 3)]),
        ("dpo", 0, [("sft", 0), ("sft", 1), ("sft", 2), ("sft", 3), ("sft", 3)]),
        ("sft", 0, []),
    ],
)
def test_going_on_from_a_step_forgets_what_came_after(
    journal: Journal, stage: str, step: int, kept: list[tuple[str, int]]
) -> None:
    journal.cut_back(stage, step, STAGES)
    assert places(journal.lines()) == kept


def test_half_a_line_that_a_killed_process_left_is_cut_off(journal: Journal) -> None:
    with journal.path.open("ab") as file:
        file.write(b'{"stage": "dpo", "st')
    journal.cut_back("dpo", 1, STAGES)
    journal.append({"stage": "dpo", "step": 2, "of": 2})
    assert places(journal.lines())[-2:] == [("dpo", 1), ("dpo", 2)]


def test_a_journal_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    assert journal.lines() == list(journal.follow()) == []
    journal.cut_back("sft", 0, STAGES)
    assert journal.lines() == []
