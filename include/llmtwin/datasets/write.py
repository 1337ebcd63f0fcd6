"""A dataset appears under its version whole, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from llmtwin.datasets.card import card
from llmtwin.datasets.dataset import BUILDS, MANIFEST, Build, Dataset, builds
from llmtwin.datasets.rows import Row, schema
from llmtwin.errors import DatasetError
from llmtwin.files import sync_folder, write_json

_VERSION_DIGITS = 12
Tables = Mapping[str, Mapping[str, Sequence[Row]]]


@contextmanager
def building(folder: Path) -> Iterator[None]:
    """Be the only one that builds datasets of a name.

    Raises:
        DatasetError: Another program builds them now, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".build.lock", timeout=0):
            for left_behind in folder.glob(".building-*"):  # by a build that was killed
                shutil.rmtree(left_behind)
            yield
    except Timeout as error:
        raise DatasetError(f"another build of {folder.name} is under way: wait for its end") from error
    except OSError as error:
        raise DatasetError(
            f"the dataset cannot be written to {folder} ({error.strerror or error}): free space there, or let "
            "LLMTWIN_DATASETS_DIR name another folder. Versions that were there are as they were"
        ) from error


def write(folder: Path, tables: Tables, manifest: dict[str, Any]) -> Dataset:
    """Write a version, unless it is there already; note that it was built. Call inside `building`.

    Args:
        folder: Of the name.
        tables: Rows by configuration and split; configurations without rows are left out.
        manifest: What is known, without version, digest and files, which are added.

    Raises:
        OSError: The disk is full, say. Nothing was changed.
    """
    working = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    try:
        files = {}
        for config, splits in tables.items():
            for split, rows in splits.items():
                path = working / config / f"{split}.parquet"
                _write_parquet(path, config, rows)
                files[f"{config}/{split}.parquet"] = hashlib.sha256(path.read_bytes()).hexdigest()
        body = manifest | {"files": files}
        digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
        whole = {"name": folder.name, "version": digest[:_VERSION_DIGITS], "digest": digest, **body}
        write_json(working / MANIFEST, whole, indent=True)
        (working / "README.md").write_text(card(whole))
        dataset = Dataset(folder / digest[:_VERSION_DIGITS])
        _put_in_place(working, dataset.folder)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    history = [*builds(folder), Build(version=dataset.version, built_at=datetime.now(UTC))]
    write_json(folder / BUILDS, [build.model_dump(mode="json") for build in history], indent=True)
    return dataset


def _write_parquet(path: Path, config: str, rows: Sequence[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema(config)), path, compression="zstd")


def _put_in_place(working: Path, target: Path) -> None:
    if target.is_dir():
        return
    for path in sorted(working.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
            path.chmod(0o444)
        else:
            sync_folder(path)
    sync_folder(working)
    working.chmod(0o755)
    working.rename(target)
    sync_folder(target.parent)
