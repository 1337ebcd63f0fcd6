"""Traces survive crashes, several writers and a full folder; what is damaged is skipped and said."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs
from tests.traces import trace
from uuid6 import uuid7

from llmtwin.errors import TraceError
from llmtwin.traces import Journal, Trace
from llmtwin.traces.store import time_of

PLENTY = 10**9
WRITER = """
import os, signal, sys
from pathlib import Path
from tests.traces import trace
from llmtwin.traces import Journal, Trace

journal = Journal(Path(sys.argv[1]), Trace, 10**9)
for number in range(int(sys.argv[2])):
    journal.append([trace(question=f"{sys.argv[3]} {number}")])
print("written", flush=True)
signal.pause()
"""


def journal(folder: Path, most_bytes: int = PLENTY, **rules: object) -> Journal[Trace]:
    return Journal(folder, Trace, most_bytes, **rules)  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


def test_records_are_read_back_as_they_were_and_the_newest_first(tmp_path: Path) -> None:
    kept = [trace(question=text) for text in ("naïve 日本", "line\nbreak\u2028", "")]
    writer = journal(tmp_path)
    writer.append(kept[:2])
    writer.append(kept[2:])
    assert list(journal(tmp_path).newest_first()) == kept[::-1]


def test_a_segment_that_is_large_enough_becomes_parquet(tmp_path: Path) -> None:
    kept = [trace() for _ in range(5)]
    writer = journal(tmp_path, segment_bytes=1)
    for one in kept:
        writer.append([one])
    assert names(tmp_path) == [".parquet"] * 5
    assert list(writer.newest_first()) == kept[::-1]
    table = pq.read_table(sorted(tmp_path.iterdir())[0])
    assert table["trace_id"].to_pylist() == [kept[0].trace_id]
    assert table["completion_tokens"].to_pylist() == [2]


def test_a_segment_that_is_old_enough_becomes_parquet(tmp_path: Path) -> None:
    writer = journal(tmp_path, segment_age=timedelta(0))
    writer.append([trace()])
    assert names(tmp_path) == [".parquet"]
    writer.rotate(at_once=True)
    assert names(tmp_path) == [".parquet"]


def test_the_oldest_are_removed_when_there_is_too_much(tmp_path: Path) -> None:
    most = 20_000
    writer = journal(tmp_path, most_bytes=most)
    kept = [trace(question=os.urandom(500).hex()) for _ in range(60)]
    for one in kept:
        writer.append([one])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1.5 * most
    left = list(writer.newest_first())
    assert 3 < len(left) < 60
    assert left == kept[: -len(left) - 1 : -1]


def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    writer = journal(folder)
    writer.append([trace()])
    writer.rotate(at_once=True)
    writer.append([trace()])
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_half_a_record_at_the_end_is_skipped_and_said(tmp_path: Path) -> None:
    kept = trace()
    writer = journal(tmp_path)
    writer.append([kept, trace()])
    writer.close()
    segment = next(tmp_path.iterdir())
    segment.write_bytes(segment.read_bytes()[:-20])
    with capture_logs() as logs:
        assert list(journal(tmp_path).newest_first()) == [kept]
    assert [entry["event"] for entry in logs] == ["skipped half a record at the end"]


def test_a_damaged_record_and_a_damaged_part_are_skipped_and_said(tmp_path: Path) -> None:
    kept = trace()
    (tmp_path / "20200101T000000.000000Z-1-aaaa.jsonl").write_text(f"{{}}\n\nnull\n{kept.model_dump_json()}\n")
    (tmp_path / "20200101T000001.000000Z-1-aaaa.parquet").write_bytes(b"PAR1 and no more")
    with capture_logs() as logs:
        assert list(journal(tmp_path).newest_first()) == [kept]
    assert [entry["event"] for entry in logs] == ["skipped a damaged file"] + ["skipped a damaged record"] * 3


def test_a_crash_between_part_and_removal_doubles_nothing(tmp_path: Path) -> None:
    kept = trace()
    writer = journal(tmp_path)
    writer.append([kept])
    segment = next(tmp_path.iterdir())
    content = segment.read_bytes()
    writer.rotate(at_once=True)
    segment.write_bytes(content)
    assert list(writer.newest_first()) == [kept]
    writer.append([trace()])  # tidies up first
    assert names(tmp_path) == [".jsonl", ".parquet"]


def test_a_trace_is_found_in_segment_and_part(tmp_path: Path) -> None:
    writer = journal(tmp_path)
    kept = [trace() for _ in range(3)]
    writer.append(kept[:2])
    writer.rotate(at_once=True)
    writer.append(kept[2:])
    for one in kept:
        began = time_of(one.trace_id)
        assert began is not None
        assert list(writer.find(one.trace_id, began)) == [one]
    other = uuid7()
    assert list(writer.find(other.hex, kept[0].started_at)) == []


def test_only_files_of_the_time_are_looked_at(tmp_path: Path) -> None:
    writer = journal(tmp_path, segment_bytes=1)
    kept = trace()
    writer.append([kept])
    hour = timedelta(hours=1)
    assert list(writer.find(kept.trace_id, kept.started_at - hour, kept.started_at + hour)) == [kept]
    assert list(writer.find(kept.trace_id, kept.started_at + hour)) == []
    assert list(writer.find(kept.trace_id, kept.started_at - 2 * hour, kept.started_at - hour)) == []


def test_several_processes_write_at_once_and_a_killed_one_loses_nothing(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), "50", name], stdout=subprocess.PIPE)
        for name in ("first", "second")
    ]
    try:
        for process in writers:
            assert process.stdout is not None
            assert process.stdout.readline() == b"written\n"
        # Nobody takes a living writer's segment for an orphan.
        own = journal(tmp_path)
        own.append([trace(question="own 0")])
        assert names(tmp_path) == [".jsonl"] * 3
    finally:
        for process in writers:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    own.rotate(at_once=True)
    assert names(tmp_path) == [".parquet"] * 3
    asked = sorted(str(one.question) for one in own.newest_first())
    assert asked == sorted([f"{name} {number}" for name in ("first", "second") for number in range(50)] + ["own 0"])


def test_a_writer_goes_on_when_its_new_segment_was_taken_for_an_orphan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between creating a segment and locking it, another process may lock, convert and remove it."""
    import fcntl

    real, calls = fcntl.flock, []

    def snatched(file: object, mode: int) -> None:
        if not calls:
            next(tmp_path.glob("*.jsonl")).unlink()
        calls.append(mode)
        real(file, mode)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", snatched)
    kept = trace()
    writer = journal(tmp_path)
    writer.append([kept])
    assert list(writer.newest_first()) == [kept]
    assert len(calls) == 2


def test_files_of_the_same_time_are_read_together(tmp_path: Path) -> None:
    first, second = journal(tmp_path, segment_bytes=3_000), journal(tmp_path)
    kept = [trace() for _ in range(40)]
    for number, one in enumerate(kept):
        (first if number % 3 else second).append([one])
    assert names(tmp_path).count(".parquet") > 2
    assert list(first.newest_first()) == kept[::-1]


def test_a_full_disk_is_an_error_and_the_next_record_starts_anew(tmp_path: Path) -> None:
    class FullError(OSError):
        pass

    writer = journal(tmp_path)
    writer.append([trace()])

    class Full:
        def write(self, data: bytes) -> int:
            raise FullError(28, "No space left on device")

        def close(self) -> None:
            pass

    writer._file = Full()  # type: ignore[assignment]
    with pytest.raises(TraceError, match=r"cannot write to .*No space left"):
        writer.append([trace()])
    kept = trace()
    writer.append([kept])
    assert next(writer.newest_first()) == kept


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TraceError, match=r"cannot write to .*file/traces"):
        journal(tmp_path / "file" / "traces").append([trace()])


def test_what_parquet_holds_is_what_the_record_says(tmp_path: Path) -> None:
    writer = journal(tmp_path)
    writer.append([trace(question="why?")])
    writer.rotate(at_once=True)
    row = pq.read_table(next(tmp_path.iterdir())).to_pylist()[0]
    assert json.loads(row.pop("record"))["question"] == "why?"
    assert set(row) == {
        "trace_id", "started_at", "model", "status", "seconds", "prompt_tokens", "completion_tokens", "passages"
    }  # fmt: skip
