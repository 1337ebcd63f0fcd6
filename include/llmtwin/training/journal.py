"""The figures of a run, one JSON object a line, as training writes them and whoever watches reads them.

::

    {"stage": "sft", "step": 5, "of": 60, "loss": 3.1, "learning_rate": 0.0005, "tokens": 20480, "seconds": 31.2, …}
    {"stage": "sft", "step": 20, "of": 60, "eval_loss": 2.9, …}

What is written after a checkpoint is not part of the run until the next one: going on from a checkpoint cuts the
journal back to it, so that no step is there twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from llmtwin.files import durable

Line = dict[str, Any]


class Journal:
    """The journal of one run.

    Args:
        path: The file; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: Line) -> None:
        """Write a line in one go."""
        with self.path.open("ab", buffering=0) as file:
            file.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")

    def lines(self) -> list[Line]:
        """Return all whole lines."""
        return list(self.follow()) if self.path.is_file() else []

    def follow(self) -> Follower:
        """Return what reads line by line while others write."""
        return Follower(self.path)

    def cut_back(self, stage: str, step: int, stages: tuple[str, ...]) -> None:
        """Forget what comes after a step of a stage.

        Args:
            stage: Where training goes on.
            step: The last step that counts.
            stages: All, in their order.
        """
        kept = [
            line
            for line in self.lines()
            if (stages.index(line["stage"]), line["step"]) <= (stages.index(stage), step)
            and not (line["stage"] == stage and step == 0)
        ]
        with durable(self.path) as file:
            file.writelines(orjson.dumps(line) + b"\n" for line in kept)


class Follower:
    """Reads a file that grows; each `__iter__` yields the whole lines that are new."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def __iter__(self) -> Iterator[Line]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._offset += len(line)
                    yield orjson.loads(line)
        except FileNotFoundError:
            return


def curve(lines: list[Line], metric: str = "loss") -> list[tuple[str, int, float]]:
    """Return the values of a metric as (stage, step, value), in order."""
    return [(line["stage"], line["step"], line[metric]) for line in lines if metric in line]
