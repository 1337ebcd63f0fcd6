from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmtwin.evaluation.journal import Journal


def refuse() -> object:
    raise AssertionError("this was answered before")


def test_an_answer_is_asked_for_once_also_after_a_restart(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new" / "answers.jsonl")
    assert journal.remember({"b": 1, "a": [2]}, lambda: {"said": "é"}) == {"said": "é"}
    journal.close()
    again = Journal(tmp_path / "new" / "answers.jsonl")
    assert again.remember({"a": [2], "b": 1}, refuse) == {"said": "é"}
    assert len(again) == 1


def test_no_answer_is_an_answer(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "answers.jsonl")
    assert journal.remember("q", lambda: None) is None
    assert journal.remember("q", refuse) is None


def test_an_error_is_not_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "answers.jsonl")
    with pytest.raises(AssertionError):
        journal.remember("q", refuse)
    assert journal.remember("q", lambda: 1) == 1


@pytest.mark.parametrize("torn", [b'["ab", {"sa', b'["ab", 1]', b"\xff\xfe\n", b"{}\n"])
def test_what_a_crash_left_at_the_end_is_cut_away(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "answers.jsonl"
    journal = Journal(path)
    journal.remember("kept", lambda: 1)
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    again = Journal(path)
    assert again.remember("kept", refuse) == 1
    again.remember("new", lambda: 2)
    again.close()
    assert path.read_bytes().startswith(whole)
    assert len(Journal(path)) == 2


def test_several_threads_may_write(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "answers.jsonl")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: journal.remember(number, lambda: "x" * 1000), range(200)))
    journal.close()
    assert len(Journal(tmp_path / "answers.jsonl")) == 200
