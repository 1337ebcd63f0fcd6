"""A journal: records appended to JSONL segments, which become Parquet parts, the oldest of which are removed.

Each process that writes has a segment of its own and holds a lock on it, so several write at once without waiting for
each other. A segment that is large or old enough becomes a Parquet part: one column for each figure one might ask for,
and ``record`` with all of it. A process that was killed leaves a segment without a lock, which the next one converts.
Killing a process loses at most the record that it was writing; a power cut loses what the system had not yet written.

::

    20261121T090511.123456Z-4711-1f0c.jsonl      being written by process 4711
    20261121T080511.004200Z-4711-9d2e.parquet    full
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

import structlog
from pydantic import ValidationError

from llmtwin.errors import TraceError
from llmtwin.files import durable

log = structlog.get_logger(__name__)

SEGMENT_BYTES = 8_000_000
SEGMENT_AGE = timedelta(hours=1)
_NAMED = "%Y%m%dT%H%M%S.%fZ"  # by when it was begun, so that names sort by time
# Ids of one millisecond are numbered on into the next ones, so a burst's may be later than the clock.
_AHEAD_SECONDS = 60.0
_OWN = 0o600  # what people ask is nobody else's business
_CLOCK_SECONDS = 2.0  # how far a file's time may lag behind the clock


class Record(Protocol):
    """What a journal can keep: a Pydantic model with a few figures."""

    @property
    def trace_id(self) -> str:
        """What it is about."""

    @property
    def columns(self) -> dict[str, Any]:
        """What Parquet has columns for."""

    def model_dump_json(self) -> str:
        """Return all of it."""

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> Any:
        """Return the record of a text."""


Kept = TypeVar("Kept", bound=Record)


class Journal(Generic[Kept]):
    """Records of one type in a folder. Appending is for one thread; reading is for any thread and process.

    Args:
        folder: Where they lie; made when the first is written.
        kind: The model of a record.
        most_bytes: The size of all files together, above which the oldest are removed.
        segment_bytes: From which size on a segment becomes a part.
        segment_age: From which age on.
    """

    def __init__(
        self,
        folder: Path,
        kind: type[Kept],
        most_bytes: int,
        segment_bytes: int = SEGMENT_BYTES,
        segment_age: timedelta = SEGMENT_AGE,
    ) -> None:
        self.folder = folder
        self._kind = kind
        self._most_bytes = most_bytes
        self._segment_bytes = min(segment_bytes, max(1, most_bytes // 4))
        self._segment_seconds = segment_age.total_seconds()
        self._file: BinaryIO | None = None
        self._opened = 0.0

    def append(self, records: list[Kept]) -> None:
        """Write records; other processes see them when this returns.

        Raises:
            TraceError: The disk is full, or the folder cannot be written to.
        """
        try:
            file = self._segment()
            file.write(b"".join(record.model_dump_json().encode() + b"\n" for record in records))
            file.flush()
            self.rotate()
        except OSError as error:
            # The segment may end in half a record: nothing may follow it there.
            self._abandon()
            raise TraceError(f"cannot write to {self.folder}: {error}") from error

    def rotate(self, at_once: bool = False) -> None:
        """Turn this process's segment into a part if it is large or old enough, and remove what is too much.

        Raises:
            TraceError: The disk is full, or the folder cannot be written to.
        """
        if self._file is None:
            return
        size, age = self._file.tell(), monotonic() - self._opened
        if not size or not (at_once or size >= self._segment_bytes or age >= self._segment_seconds):
            return
        self._abandon()
        try:
            self._tidy()
        except OSError as error:
            raise TraceError(f"cannot write to {self.folder}: {error}") from error

    def close(self) -> None:
        """Let go of this process's segment; what it holds stays readable, and becomes a part of the next process."""
        self._abandon()

    def newest_first(self) -> Iterator[Kept]:
        """Yield all records, those about the newest trace first: ids sort by time.

        No record is about a trace that began after its file was last written to. So a file is read only when its turn
        may have come, and only those that several processes wrote at the same time are in memory together.
        """
        waiting = sorted((written, path) for path in self._files() if (written := _written(path)) is not None)
        read: list[list[Kept]] = []
        while waiting or read:
            newest = max((records[-1].trace_id for records in read), default="")
            if waiting and _last_id(waiting[-1][0] + _AHEAD_SECONDS) >= newest:
                if records := self._records(waiting.pop()[1]):
                    read.append(sorted(records, key=lambda record: record.trace_id))
                continue
            records = max(read, key=lambda records: records[-1].trace_id)
            yield records.pop()
            if not records:
                read.remove(records)

    def find(self, trace_id: str, since: datetime, until: datetime | None = None) -> Iterator[Kept]:
        """Yield the records about a trace.

        Args:
            trace_id: The trace.
            since: Files that were finished before are not looked at.
            until: Nor are those that were begun after.
        """
        last = f"{until.astimezone(UTC):{_NAMED}}" if until else "9"
        for path in self._files():
            written = _written(path)
            if written is not None and written + _AHEAD_SECONDS >= since.timestamp() and path.name <= last:
                yield from (one for one in self._records(path, trace_id) if one.trace_id == trace_id)

    def _segment(self) -> BinaryIO:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._tidy()
        while self._file is None:
            now = datetime.now(UTC)
            path = self.folder / f"{now:{_NAMED}}-{os.getpid()}-{secrets.token_hex(2)}.jsonl"
            file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, _OWN), "ab")
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink == 0:
                file.close()  # between the two lines above another process took it for one that nobody writes
            else:
                self._file, self._opened = file, monotonic()
        return self._file

    def _abandon(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what could not be written when it was tried cannot be written now
                file.close()

    def _tidy(self) -> None:
        """Turn segments that nobody writes any more into parts, and remove the oldest files while there is too much."""
        for path in sorted(self.folder.glob("*.jsonl")):
            with suppress(FileNotFoundError), path.open("rb") as file:  # another process was faster
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                if path.exists():
                    self._convert(path)
        files = [(path, path.stat().st_size) for path in self._files() if path.exists()]
        total = sum(size for _, size in files)
        while files and total > self._most_bytes:
            path, size = files.pop()
            if path.suffix == ".parquet":
                path.unlink(missing_ok=True)
                total -= size
                log.info("removed the oldest traces", file=path.name, why="LLMTWIN_TRACES_MAX_BYTES")

    def _convert(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        texts = self._texts(path)
        records = [(record, text) for text in texts if (record := self._parse(text, path)) is not None]
        if records:
            rows = [record.columns | {"record": text} for record, text in records]
            with durable(path.with_suffix(".parquet")) as file:
                os.fchmod(file.fileno(), _OWN)
                pq.write_table(pa.Table.from_pylist(rows), file, compression="zstd")
        path.unlink()

    def _files(self) -> list[Path]:
        """Return segments and parts, the newest first; of a segment that has become a part, the part."""
        parts = {path.stem: path for path in self.folder.glob("*.jsonl")}
        parts |= {path.stem: path for path in self.folder.glob("*.parquet") if not path.name.startswith(".")}
        return [parts[stem] for stem in sorted(parts, reverse=True)]

    def _texts(self, path: Path, trace_id: str | None = None) -> list[str]:
        """Return a file's records as JSON, or only those that may be about a trace."""
        try:
            if path.suffix == ".parquet":
                return self._of_part(path, trace_id)
            lines = path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            part = path.with_suffix(".parquet")
            return self._texts(part, trace_id) if path != part else []
        if lines and not lines[-1].endswith(b"\n"):
            log.warning("skipped half a record at the end", file=str(path))
            lines.pop()
        wanted = (trace_id or "").encode()
        return [line.decode(errors="replace") for line in lines if wanted in line]

    def _of_part(self, path: Path, trace_id: str | None) -> list[str]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        chosen = [("trace_id", "=", trace_id)] if trace_id else None
        try:
            with path.open("rb") as file:
                texts: list[str] = pq.read_table(file, columns=["record"], filters=chosen)["record"].to_pylist()
        except pa.ArrowException as error:
            log.warning("skipped a damaged file", file=str(path), reason=str(error))
            return []
        return texts

    def _records(self, path: Path, trace_id: str | None = None) -> list[Kept]:
        parsed = (self._parse(text, path) for text in self._texts(path, trace_id))
        return [record for record in parsed if record is not None]

    def _parse(self, text: str, path: Path) -> Kept | None:
        try:
            record: Kept = self._kind.model_validate_json(text)
        except ValidationError as error:
            log.warning("skipped a damaged record", file=str(path), reason=str(error.errors()[0]["msg"]))
            return None
        return record


def _written(path: Path) -> float | None:
    """Return when a file was last written to, at the latest; None if it is gone, and has not become a part either."""
    for name in (path, path.with_suffix(".parquet")):
        with suppress(FileNotFoundError):
            return name.stat().st_mtime + _CLOCK_SECONDS
    return None


def _last_id(moment: float) -> str:
    """Return the last UUIDv7 of a moment: milliseconds in 48 bits come first (RFC 9562)."""
    return f"{int(moment * 1000):012x}" + "f" * 20
