"""The services' logs, as ``llmtwin logs`` shows them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from llmtwin.errors import LocalStackError
from llmtwin.local.stack import LocalStack


def log_files(stack: LocalStack, service: str | None = None) -> dict[str, Path]:
    """Return the log file of ``service``, or of all services, by service name.

    Raises:
        LocalStackError: There is no such service.
    """
    files = {name: stack.supervisor.log_of(name) for name in stack.names()}
    if service is None:
        return files
    if service not in files:
        raise LocalStackError(f"no service {service!r}; there are {', '.join(files)}")
    return {service: files[service]}


def last_lines(file: Path, count: int) -> list[str]:
    """Return the last ``count`` lines of ``file``; none when it does not exist yet."""
    try:
        with file.open(errors="replace") as lines:
            return [line.rstrip("\n") for line in deque(lines, maxlen=count)]
    except FileNotFoundError:
        return []


def follow_logs(files: dict[str, Path], pause: float = 0.2) -> Iterator[tuple[str, str]]:
    """Yield what is written from now on, as service and line, for ever.

    Files may appear later, and be rotated: supervisor renames a full one and begins another.
    """
    followed = {name: FollowedFile(file) for name, file in files.items()}
    while True:
        for name, file in followed.items():
            for line in file.new_lines():
                yield name, line
        time.sleep(pause)


class FollowedFile:
    """A log that may not exist yet, and may be renamed and begun anew.

    Args:
        file: Where it is, or will be; what it holds already is passed over.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._inode = 0
        self._stream: TextIO | None = None
        self._unfinished = ""
        self._open(at_end=True)

    def new_lines(self) -> list[str]:
        """Return the lines completed since the last call, also those written to the old file before it was renamed."""
        lines = self._read()
        if self._was_replaced():
            self._open(at_end=False)
            lines += self._read()
        return lines

    def _read(self) -> list[str]:
        if self._stream is None:
            return []
        *lines, self._unfinished = (self._unfinished + self._stream.read()).split("\n")
        return lines

    def _was_replaced(self) -> bool:
        try:
            return self._file.stat().st_ino != self._inode
        except FileNotFoundError:
            return False

    def _open(self, at_end: bool) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        try:
            stream = self._file.open(errors="replace")
        except FileNotFoundError:
            return
        if at_end:
            stream.seek(0, 2)
        self._stream, self._inode = stream, self._file.stat().st_ino
