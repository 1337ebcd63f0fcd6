"""What the teacher answered, on disk, so that nothing is paid for twice.

One line of JSON for each answer, good or bad, under the hash of its request; a line that a crash cut off is dropped.
"""

from __future__ import annotations

import hashlib
import os
import threading
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError


class Reply(BaseModel):
    """One answer as the endpoint gave it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Journal:
    """The answers to the requests of one name's datasets. A context manager; one writer at a time, any thread.

    Args:
        path: The file; created with the first answer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._replies: dict[str, Reply] = {}
        self._file: FileIO

    def __enter__(self) -> Self:
        """Read what is there.

        Raises:
            OSError: The file cannot be opened.
        """
        # Without a buffer: what a full disk has refused must not be written again when the file is closed.
        self._file = self.path.open("a+b", buffering=0)
        self._file.seek(0)
        whole = 0
        for line in self._file.readall().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            try:
                reply = Reply.model_validate_json(line)
            except ValidationError:
                continue
            self._replies.setdefault(reply.key, reply)
        self._file.truncate(whole)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def get(self, key: str) -> Reply | None:
        """Return the answer to a request; None where it was never given."""
        return self._replies.get(key)

    def add(self, reply: Reply) -> Reply:
        """Keep an answer, unless its request was answered meanwhile; return the one that is kept.

        It is safe from a power cut when this returns.

        Raises:
            OSError: The disk is full, say. What was kept before is whole.
        """
        line = reply.model_dump_json().encode() + b"\n"
        with self._lock:
            if (earlier := self._replies.get(reply.key)) is not None:
                return earlier
            end = self._file.seek(0, os.SEEK_END)
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[self._file.write(rest) :]
                os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(end)
                raise
            self._replies[reply.key] = reply
            return reply


def key_of(request: dict[str, Any], attempt: int) -> str:
    """Return the hash of a request's content and of which attempt it is, 64 hexadecimal digits."""
    return hashlib.sha256(orjson.dumps([request, attempt], option=orjson.OPT_SORT_KEYS)).hexdigest()
