"""Checkpoints that are either whole or not taken.

A trainer writes a checkpoint file by file. Once the last one is there, `seal` makes them durable and writes down what
they are; `newest` takes no other. So a process that is killed, or a disk that fills up, in the middle of a checkpoint
costs the steps since the one before, which is kept until then (``save_total_limit`` is at least two).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import structlog

from llmtwin.files import sync_folder, write_json

log = structlog.get_logger(__name__)

_SEAL = "complete.json"
_NAME = re.compile(r"checkpoint-(\d+)")


def seal(checkpoint: Path) -> None:
    """Say that a checkpoint is complete, once it is safe from a power cut.

    Raises:
        OSError: The disk is full, or broken.
    """
    files = {}
    for path in _files(checkpoint):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            files[str(path.relative_to(checkpoint))] = hashlib.file_digest(file, "sha256").hexdigest()
    for folder in {path.parent for path in _files(checkpoint)}:
        sync_folder(folder)
    sync_folder(checkpoint.parent)
    write_json(checkpoint / _SEAL, files, indent=True)


def newest(folder: Path) -> Path | None:
    """Return the newest complete checkpoint of a folder; None where there is none.

    What is not complete, or not what it was, is removed: it would be in the way of the next one of its name.
    """
    for _, checkpoint in sorted(_found(folder), reverse=True):
        if _is_complete(checkpoint):
            return checkpoint
        log.warning("a checkpoint is not complete, or damaged: the one before is taken", checkpoint=checkpoint.name)
        shutil.rmtree(checkpoint)
    return None


def step_of(checkpoint: Path | None) -> int:
    """Return the number of steps after which a checkpoint was made; 0 for None."""
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0


def _found(folder: Path) -> list[tuple[int, Path]]:
    paths = folder.iterdir() if folder.is_dir() else ()
    return [(int(match[1]), path) for path in paths if (match := _NAME.fullmatch(path.name)) and path.is_dir()]


def _files(checkpoint: Path) -> list[Path]:
    return sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != _SEAL)


def _is_complete(checkpoint: Path) -> bool:
    try:
        sealed = json.loads((checkpoint / _SEAL).read_bytes())
        return all(_digest(checkpoint / name) == digest for name, digest in sealed.items())
    except (OSError, ValueError, AttributeError):
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
