"""The journal of the teacher's answers survives what programs and disks do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from llmtwin.datasets.journal import Journal, Reply, key_of

_FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from llmtwin.datasets.journal import Journal, Reply
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
with Journal(Path(sys.argv[1])) as journal:
    for number in range(100):
        try:
            journal.add(Reply(key=f"key {number}", text="an answer of some length"))
        except OSError:
            print(number)
            break
"""


def test_what_was_added_is_there_again(tmp_path: Path) -> None:
    reply = Reply(key="one", text="Ünïcode\nand lines", prompt_tokens=3, completion_tokens=4)
    with Journal(tmp_path / "teacher.jsonl") as journal:
        assert journal.get("one") is None
        journal.add(reply)
        assert journal.get("one") == reply
    with Journal(tmp_path / "teacher.jsonl") as journal:
        assert journal.get("one") == reply
        assert journal.get("two") is None


def test_the_first_answer_to_a_request_stays(tmp_path: Path) -> None:
    first, second = Reply(key="one", text="first"), Reply(key="one", text="second")
    with Journal(tmp_path / "teacher.jsonl") as journal:
        assert journal.add(first) == journal.add(second) == first
    with Journal(tmp_path / "teacher.jsonl") as journal:
        assert journal.get("one") == first


def test_a_line_that_a_crash_cut_off_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "teacher.jsonl"
    with Journal(file) as journal:
        journal.add(Reply(key="one", text="whole"))
    file.write_bytes(file.read_bytes() + b'{"key": "two", "text": "cut o')
    with Journal(file) as journal:
        assert journal.get("two") is None
        journal.add(Reply(key="three", text="whole too"))
    with Journal(file) as journal:
        assert [journal.get(key) is not None for key in ("one", "two", "three")] == [True, False, True]


def test_a_full_disk_costs_one_answer_and_nothing_that_was_kept(tmp_path: Path) -> None:
    file = tmp_path / "teacher.jsonl"
    done = subprocess.run([sys.executable, "-c", _FILL_THE_DISK, str(file)], capture_output=True, text=True, check=True)
    kept = int(done.stdout)
    assert 1 < kept < 100
    with Journal(file) as journal:
        assert all(journal.get(f"key {number}") for number in range(kept))
        assert journal.get(f"key {kept}") is None
        journal.add(Reply(key="later", text="there is space again"))


def test_a_key_is_of_the_whole_request_and_of_the_attempt() -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}
    assert key_of(request, 0) == key_of(dict(reversed(request.items())), 0)
    assert len({key_of(request, 0), key_of(request, 1), key_of(request | {"model": "n"}, 0)}) == 3
