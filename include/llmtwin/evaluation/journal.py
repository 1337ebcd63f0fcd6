"""What models and the judge have answered so far: an evaluation that was killed goes on, and pays nothing twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import orjson
import structlog

log = structlog.get_logger(__name__)


class Journal:
    """Answers by what was asked, in a file of JSON lines that only grows. Safe to use from several threads.

    A line that a crash cut off is cut away, and its question is asked again.

    Args:
        path: The file; it and its folder need not exist.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._answers: dict[str, Any] = {}
        self._lock = Lock()
        self._file = path.open("a+b")
        self._read()

    def __len__(self) -> int:
        return len(self._answers)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def remember(self, question: object, ask: Callable[[], Any]) -> Any:
        """Return the answer to a question; ``ask`` is called, and its answer kept, only if there is none yet.

        Args:
            question: What JSON can hold, and all that the answer depends on.
            ask: Returns what JSON can hold.
        """
        key = hashlib.sha256(orjson.dumps(question, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
        with self._lock:
            if key in self._answers:
                return self._answers[key]
        answer = ask()
        with self._lock:
            self._answers[key] = answer
            # One write of a whole line: what a killed process leaves is whole lines, and at most one piece at the end.
            self._file.write(orjson.dumps([key, answer]) + b"\n")
            self._file.flush()
        return answer

    def _read(self) -> None:
        self._file.seek(0)
        whole = 0
        for line in self._file:
            try:
                key, answer = orjson.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            self._answers[key] = answer
            whole += len(line)
        if whole < self._file.seek(0, 2):
            log.warning("the end of the journal is damaged and is asked again", file=self._file.name)
            self._file.truncate(whole)
