"""One collection: a shard of the engine and the request that made it.

On disk a collection is a folder::

    <random id>/collection.json   its name, settings and current shard; the collection exists when this file does
    <random id>/<shard id>/       the engine's files

Building the HNSW index would stop the whole process for seconds, so `start_optimizing` copies the flushed shard,
another process works on the copy, and writes are remembered meanwhile. `finish_optimizing` replays them on the copy
and makes it the current shard by replacing ``collection.json``. Until then the old shard has everything; a crash loses
nothing but the copy.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import qdrant_edge as edge
from qdrant_client.http import models

from llmtwin.files import sync_folder, write_json
from llmtwin.local.qdrant.config import PLACEHOLDER, VectorSchema, collection_info, engine_config
from llmtwin.local.qdrant.errors import NotFoundError, RequestError, engine_errors
from llmtwin.local.qdrant.ids import PointId
from llmtwin.local.qdrant.points import Update

DESCRIPTION = "collection.json"

# Below this many new points a full scan (about 1 ms per 10,000 points of 384 dimensions) is as fast as the index.
OPTIMIZE_AFTER = 10_000


class Collection:
    """A collection that is open. Not thread-safe: one thread does everything."""

    def __init__(self, folder: Path, name: str, create: models.CreateCollection, shard: Path) -> None:
        self.name = name
        self.create = create
        self.schema = VectorSchema.of(create)
        self.deleted = False
        self.writes = 0
        self._folder = folder
        self._shard_folder = shard
        with engine_errors():
            self.shard = edge.EdgeShard.load(str(shard))
        self._unflushed = False
        self._unoptimized = 0
        self._copy: Path | None = None
        self._since_copy: list[edge.UpdateOperation] = []

    @classmethod
    def make(cls, folder: Path, name: str, create: models.CreateCollection) -> Collection:
        """Create a collection in a folder that does not exist yet.

        Raises:
            RequestError: The engine does not take the settings.
        """
        shard = folder / uuid4().hex
        with engine_errors():
            config = engine_config(create)
            shard.mkdir(parents=True)
            try:
                made = edge.EdgeShard.create(str(shard), config)
                if not create.vectors and not create.sparse_vectors:
                    made.update(edge.UpdateOperation.delete_vector_name(PLACEHOLDER))
                made.flush()
                made.close()
            except BaseException:
                shutil.rmtree(folder)
                raise
        collection = cls(folder, name, create, shard)
        collection._describe(shard)
        sync_folder(folder.parent)
        return collection

    @classmethod
    def open(cls, folder: Path) -> Collection | None:
        """Open the collection in a folder; sweep away what an interrupted creation, deletion or copy left there."""
        if not (folder / DESCRIPTION).exists():
            shutil.rmtree(folder, ignore_errors=True)
            return None
        description = orjson.loads((folder / DESCRIPTION).read_bytes())
        for other in folder.iterdir():
            if other.is_dir() and other.name != description["shard"]:
                shutil.rmtree(other, ignore_errors=True)
        create = models.CreateCollection.model_validate(description["create"])
        return cls(folder, description["name"], create, folder / description["shard"])

    def info(self) -> dict[str, Any]:
        """Return Qdrant's description of the collection."""
        return collection_info(self.create, self.shard.info(), optimizing=self._copy is not None)

    def apply(self, updates: Sequence[Update], *, wait: bool) -> None:
        """Apply updates in order; with `wait` they are on disk on return.

        Raises:
            NotFoundError: An update needs a point that does not exist; those before it are applied.
        """
        for update in updates:
            self._require(update.must_exist)
            with engine_errors():
                self.shard.update(update.operation)
            self._unflushed = True
            self.writes += 1
            self._unoptimized += update.size
            if self._copy:
                self._since_copy.append(update.operation)
        if wait:
            self.flush()

    def flush(self) -> None:
        """Bring all writes to disk."""
        if self._unflushed:
            with engine_errors():
                self.shard.flush()
            self._unflushed = False

    def stored_vector(self, point: PointId, name: str) -> Any:
        """Return a point's vector of a name, ``""`` for the unnamed one.

        Raises:
            NotFoundError: There is no such point, or it has no such vector.
        """
        found = self.shard.retrieve([point], False, [name] if name else True)
        if not found:
            raise NotFoundError(f"No point with id {point} found")
        vectors = found[0].vector
        vector = vectors.get(name) if isinstance(vectors, dict) else vectors
        if not vector:
            raise NotFoundError(f"the point {point} has no vector {name!r}")
        return vector

    def needs_optimizing(self) -> bool:
        """Tell whether enough was written since the index was last built, and nobody is building it."""
        if self.deleted or self._copy:
            return False
        return self._unoptimized >= max(OPTIMIZE_AFTER, self.shard.info().points_count // 4)

    def start_optimizing(self) -> Path:
        """Return a copy of the shard for another process to optimize; from now on writes are remembered."""
        self.flush()
        copy = self._folder / uuid4().hex
        try:
            shutil.copytree(self._shard_folder, copy)
        except OSError:
            shutil.rmtree(copy, ignore_errors=True)
            raise
        self._copy = copy
        self._unoptimized = 0
        return copy

    def finish_optimizing(self, *, succeeded: bool) -> None:
        """Take the optimized copy into use, with all that was written meanwhile; or drop it."""
        copy, missed = self._copy, self._since_copy
        self._copy, self._since_copy = None, []
        if copy is None:
            return
        if self.deleted or not succeeded:
            shutil.rmtree(self._folder if self.deleted else copy, ignore_errors=True)
            return
        try:
            with engine_errors():
                optimized = edge.EdgeShard.load(str(copy))
                for operation in missed:
                    optimized.update(operation)
                optimized.flush()
            self._describe(copy)
        except (RequestError, OSError):
            shutil.rmtree(copy, ignore_errors=True)
            raise
        old, old_folder = self.shard, self._shard_folder
        self.shard, self._shard_folder = optimized, copy
        self._unflushed = False
        old.close()
        shutil.rmtree(old_folder, ignore_errors=True)

    def close(self) -> None:
        """Flush and release the shard."""
        self.flush()
        self.shard.close()

    def delete(self) -> None:
        """Remove the collection for good; it is gone with its description, the rest is sweeping."""
        (self._folder / DESCRIPTION).unlink()
        sync_folder(self._folder)
        self.deleted = True
        self.shard.close()
        if self._copy is None:  # else another process works there, and finish_optimizing sweeps
            shutil.rmtree(self._folder, ignore_errors=True)

    def _describe(self, shard: Path) -> None:
        create = self.create.model_dump(mode="json", exclude_none=True)
        write_json(self._folder / DESCRIPTION, {"name": self.name, "create": create, "shard": shard.name})

    def _require(self, points: Sequence[PointId]) -> None:
        if not points:
            return
        found = {record.id for record in self.shard.retrieve(list(points), False, False)}
        for point in points:
            if point not in found:
                raise NotFoundError(f"No point with id {point} found")
