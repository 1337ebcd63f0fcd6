"""Files that are either whole and on disk, or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson


@contextmanager
def durable(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears under its name only when it is complete and safe from a power cut.

    A temporary file beside it, fsync, atomic rename, fsync of the folder. On an error (a full disk, say) the temporary
    file is removed and what stood there before stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, content: Any, indent: bool = False) -> None:
    """Replace a file with this content as JSON, so that a crash at any moment leaves the old or the new content."""
    with durable(path) as file:
        file.write(orjson.dumps(content, option=orjson.OPT_INDENT_2 if indent else None))


def sync_folder(folder: Path) -> None:
    """Make renames and new names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
