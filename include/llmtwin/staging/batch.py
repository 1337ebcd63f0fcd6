"""A micro-batch: a folder with one Parquet file per table, and a marker when all is done.

::

    <batch id>/
        cdc_events.parquet                  the source, written by the drain before it acknowledges
        <model>.parquet                     one per model that was built
        <model>.quarantine.parquet          rows that broke the model's contract, with reasons; absent if none did
        run_results.json
        _SUCCESS                            nothing is left to do
"""

from __future__ import annotations

import secrets
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from llmtwin.errors import BatchError
from llmtwin.files import durable, sync_folder

if TYPE_CHECKING:
    import pyarrow as pa

SOURCE = "cdc_events"
_SUCCESS = "_SUCCESS"
# A drain has written its events seconds after it made their folder; one that has not after so long was killed, and
# its events are in the queue again.
_ABANDONED_SECONDS = 3600


@dataclass(frozen=True)
class Batch:
    """One micro-batch on disk."""

    folder: Path

    @property
    def id(self) -> str:
        """The folder's name; sorts by time of creation."""
        return self.folder.name

    @property
    def is_complete(self) -> bool:
        """Whether every stage is done."""
        return (self.folder / _SUCCESS).exists()

    def path(self, table: str) -> Path:
        """Where a table of this batch lies."""
        return self.folder / f"{table}.parquet"

    def has(self, table: str) -> bool:
        """Whether a table was written."""
        return self.path(table).exists()

    def read(self, table: str) -> pa.Table:
        """Read a table of this batch.

        Raises:
            BatchError: The table was not built yet, or its file is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.path(table)
        try:
            return pq.read_table(path)
        except FileNotFoundError as error:
            raise BatchError(f"batch {self.id} has no table {table}: build it first, or clear its task") from error
        except (pa.ArrowException, OSError) as error:
            way_out = f"delete the file and build {table} again"
            if table == SOURCE:  # nothing builds it, and its events are acknowledged
                way_out = f"remove {self.folder}, then run `llmtwin verify --repair`, which sends its events again"
            raise BatchError(f"{path} cannot be read ({error}): {way_out}") from error

    def write(self, table: str, rows: pa.Table) -> Path:
        """Write a table durably, in place of an earlier one."""
        import pyarrow.parquet as pq

        path = self.path(table)
        with durable(path) as file:
            pq.write_table(rows, file, compression="zstd", compression_level=1)
        return path

    def remove(self, table: str) -> None:
        """Remove a table if it is there."""
        self.path(table).unlink(missing_ok=True)

    def complete(self) -> None:
        """Mark the batch as done."""
        with durable(self.folder / _SUCCESS):
            pass


def create_batch(root: Path, events: pa.Table) -> Batch:
    """Create a batch that holds these events; when this returns they are safe from a crash and a power cut.

    Raises:
        OSError: The disk is full or not writable; no batch was created.
    """
    root.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(3)}"
    batch = Batch(root / name)
    batch.folder.mkdir()
    try:
        batch.write(SOURCE, events)
    except BaseException:
        shutil.rmtree(batch.folder, ignore_errors=True)
        raise
    sync_folder(root)
    return batch


def open_batch(root: Path, batch_id: str) -> Batch:
    """Return an existing batch; ``latest`` is the newest.

    Raises:
        BatchError: There is no batch of this name.
    """
    existing = batches(root)
    if batch_id == "latest" and existing:
        return existing[-1]
    for batch in existing:
        if batch.id == batch_id:
            return batch
    known = ", ".join(batch.id for batch in existing[-3:]) or "none"
    raise BatchError(f"no batch {batch_id!r} in {root}; the newest are: {known}")


def batches(root: Path) -> list[Batch]:
    """Return all batches, oldest first. A folder without events (a drain that crashed) is not a batch."""
    if not root.is_dir():
        return []
    found = [Batch(folder) for folder in root.iterdir() if (folder / f"{SOURCE}.parquet").exists()]
    return sorted(found, key=lambda batch: batch.id)


def pending_batches(root: Path) -> list[Batch]:
    """Return the batches that some stage still has to work on, oldest first."""
    return [batch for batch in batches(root) if not batch.is_complete]


def prune_batches(root: Path, keep: int) -> int:
    """Delete the oldest finished batches beyond ``keep``, and folders that killed drains left; return how many.

    Unfinished batches are never touched.
    """
    finished = [batch.folder for batch in batches(root) if batch.is_complete]
    surplus = finished[: max(0, len(finished) - keep)] + _abandoned(root)
    for folder in surplus:
        shutil.rmtree(folder)
    return len(surplus)


def _abandoned(root: Path) -> list[Path]:
    newest = time.time() - _ABANDONED_SECONDS
    return [
        folder
        for folder in root.glob("*/")
        if folder.stat().st_mtime < newest and all(path.suffix == ".tmp" for path in folder.iterdir())
    ]
