"""What goes wrong in training, in words that tell what to do; written down for whoever started the process."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmtwin.errors import LlmtwinError, TrainingError, TrainingMemoryError
from llmtwin.files import write_json
from llmtwin.training import checkpoints, memory
from llmtwin.training.process import FAILURE, NO_SPACE, disk_is_full
from llmtwin.training.recipe import read_recipe

# What libraries written in C++ and Rust say when they cannot have memory, or a file cannot grow.
_NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
_NO_SPACE = ("no space left on device", "disk quota exceeded", "file too large", "file write failed")
_NO_SPACE_CODES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn an error into one line of ``failure.json`` and exit code 1; its traceback goes to the log.

    Where the disk has no room for that line, the exit code says so.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the last line of defence: it is written down, and the process ends
        traceback.print_exc()
        told = _explanation(error, folder)
        try:
            _write(told, folder)
        except OSError:
            # The disk is full; half a checkpoint is of no use, and takes the room that this needs.
            for stage in (folder / "checkpoints").glob("*"):
                checkpoints.newest(stage)
            try:
                _write(told, folder)
            except OSError:
                sys.exit(NO_SPACE)
        sys.exit(1)


def _write(told: LlmtwinError, folder: Path) -> None:
    write_json(folder / FAILURE, {"error": type(told).__name__, "message": str(told)})


def _explanation(error: Exception, folder: Path) -> LlmtwinError:
    if isinstance(error, LlmtwinError):
        return error
    recipe = read_recipe(folder / "recipe.yaml")
    chain = [error, *_causes(error)]
    said = " ".join(str(one).lower() for one in chain)
    if any(isinstance(one, MemoryError) for one in chain) or any(words in said for words in _NO_MEMORY):
        return TrainingMemoryError(f"memory ran out: {memory.advice(recipe)}")
    codes = {one.errno for one in chain if isinstance(one, OSError)}
    if codes & _NO_SPACE_CODES or any(words in said for words in _NO_SPACE):
        return disk_is_full(folder)
    return TrainingError(
        f"{type(error).__name__}: {' '.join(str(error).split())[:500]}; {folder / 'train.log'} says more"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    while (cause := error.__cause__ or error.__context__) is not None:
        yield cause
        error = cause
