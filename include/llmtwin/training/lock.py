"""One training at a time on a machine: two would make each other slow at best, and run out of memory at worst."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from llmtwin.errors import TrainingBusyError
from llmtwin.files import write_json
from llmtwin.settings import Settings

# Whoever only looks whether there is a training holds the lock for a moment.
_LOOK_SECONDS = 1.0


@contextmanager
def only_training(settings: Settings, run_id: str) -> Iterator[None]:
    """Hold this machine's training lock. It ends with the process that holds it, however that ends.

    Raises:
        TrainingBusyError: Another process holds it; says which run that is.
    """
    settings.runs.mkdir(parents=True, exist_ok=True)
    holder = _holder(settings)
    try:
        with FileLock(_file(settings), timeout=_LOOK_SECONDS):
            write_json(holder, {"run_id": run_id, "pid": os.getpid()})
            yield
    except Timeout:
        raise TrainingBusyError(
            f"{_described(holder)} on this machine, and one at a time is enough for it: "
            f"wait for it or stop it, then `llmtwin train --resume {run_id}`"
        ) from None


def training_now(settings: Settings) -> str | None:
    """Return the id of the run that is being trained on this machine; None for none."""
    if not _file(settings).is_file():
        return None
    try:
        with FileLock(_file(settings), timeout=0):
            return None
    except Timeout:
        return _read(_holder(settings))[0]


def _described(holder: Path) -> str:
    run_id, pid = _read(holder)
    return f"run {run_id} (process {pid}) is being trained"


def _read(holder: Path) -> tuple[str, str]:
    try:
        said = orjson.loads(holder.read_bytes())
        return str(said["run_id"]), str(said["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return "(unknown)", "unknown"  # the lock was taken this very moment


def _file(settings: Settings) -> Path:
    # Data folders may be shared by several machines.
    return settings.runs / f".training-{socket.gethostname()}.lock"


def _holder(settings: Settings) -> Path:
    return settings.runs / f".training-{socket.gethostname()}.json"
