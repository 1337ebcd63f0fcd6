"""Writing a staged batch to Qdrant, so that replays, duplicates and late events change nothing.

Who wins, for each document: the highest version among its tombstone and its cleaned point. A row below that is stale
and is left out. Equal versions are written again, which makes a replay of the same batch heal a half-written one.

Order of writes and what a crash between them leaves:

- delete: tombstone first, then the cleaned point, then (in the embed stage) the chunks. A crash leaves too much, and
  the replay of the stage removes it;
- new text: the chunks first, then the leftovers of the longer older text. A crash leaves both, and the replay removes
  the leftovers.

Two embed stages must not run at once; ``llmtwin.sync`` holds a lock and the DAG allows one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from llmtwin.documents import CHUNK_TYPES, CLEANED_TYPES, Kind
from llmtwin.settings import Settings
from llmtwin.vectors.collections import (
    DENSE,
    SPARSE,
    TOMBSTONES,
    cleaned_collection,
    collection_names,
    embedded_collection,
    embedded_collections,
    ensure_cleaned,
    ensure_embedded,
    scroll,
)
from llmtwin.vectors.connection import connect

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from qdrant_client import QdrantClient, models

Row = dict[str, Any]
Item = TypeVar("Item")

# Points in one request: 256 × (384 floats + 1 kB of text) is some 2 MB of JSON.
_PORTION = 256
# Qdrant refuses a request over 32 MB, and a character takes up to 6 bytes in it. A longer text has a request to itself.
_PORTION_CHARACTERS = 4_000_000


@dataclass
class Published:
    """What a stage changed in Qdrant, in points."""

    written: int = 0
    deleted: int = 0
    stale: int = 0
    """Rows left out because something newer is there."""


def publish_cleaned(documents: pa.Table, settings: Settings) -> Published:
    """Write the cleaned documents of a batch and remove the deleted ones.

    Args:
        documents: The table ``stg_documents``.
        settings: Where Qdrant is.

    Raises:
        VectorStoreError: Qdrant is down or refused.
    """
    from qdrant_client import models

    rows = documents.to_pylist()
    result = Published()
    with connect(settings) as client:
        ensure_cleaned(client)
        current = _current(client, rows)
        result.stale = len(rows) - len(current)
        deleted = [row for row in current if row["op"] == "delete"]
        upserted = [row for row in current if row["op"] != "delete"]
        _upsert(client, TOMBSTONES, [_tombstone(row) for row in deleted])
        for kind, group in _by_kind(deleted).items():
            _delete(client, cleaned_collection(kind), [row["document_id"] for row in group])
        for kind, group in _by_kind(upserted).items():
            fields = CLEANED_TYPES[kind].model_fields
            points = [
                models.PointStruct(id=row["document_id"], vector={}, payload=_payload(row, fields)) for row in group
            ]
            _upsert(client, cleaned_collection(kind), points)
        # A document that came back: its tombstone is older than this version and has no more to say.
        _delete(client, TOMBSTONES, [row["document_id"] for row in upserted])
    result.written, result.deleted = len(upserted), len(deleted)
    return result


def publish_embedded(documents: pa.Table, chunks: pa.Table, embeddings: pa.Table, settings: Settings) -> Published:
    """Write the embedded chunks of a batch, then remove what their documents no longer have.

    Args:
        documents: The table ``stg_documents``: which documents, which versions, which deletes.
        chunks: The table ``int_chunks``.
        embeddings: The table ``fct_embeddings``.
        settings: Where Qdrant is.

    Raises:
        VectorStoreError: Qdrant is down or refused.
    """
    rows = documents.select(["document_id", "op", "kind", "version"]).to_pylist()
    result = Published()
    with connect(settings) as client:
        current = {row["document_id"]: row for row in _current(client, rows)}
        result.stale = len(rows) - len(current)
        texts = {row["chunk_id"]: row for row in chunks.to_pylist()}
        for kind, group in _by_kind(current.values()).items():
            old = {name: _chunk_ids(client, name, group) for name in embedded_collections(client, kind)}
            fresh = _of_documents(embeddings, kind, group)
            target, written = _write_chunks(client, kind, texts, fresh)
            result.written += len(written)
            # One without chunks could not be cut, and keeps those of its last good version.
            cut = set(fresh["document_id"].to_pylist())
            for collection, ids in old.items():
                # Another model's collection keeps its chunks of changed documents until it is switched to or dropped,
                # but what is deleted is deleted everywhere.
                gone = [
                    chunk_id
                    for chunk_id, document_id in ids.items()
                    if current[document_id]["op"] == "delete"
                    or (collection == target and document_id in cut and chunk_id not in written)
                ]
                _delete(client, collection, gone)
                result.deleted += len(gone)
    return result


def known_vectors(chunks: Sequence[Row], settings: Settings) -> dict[str, np.ndarray[Any, Any]]:
    """Return the dense vectors Qdrant already holds for these chunks, text and model being equal, by chunk id.

    Args:
        chunks: Rows of ``int_chunks``.
        settings: Where Qdrant is.

    Raises:
        VectorStoreError: Qdrant is down or refused.
    """
    import numpy as np

    known: dict[str, np.ndarray[Any, Any]] = {}
    by_collection: dict[str, dict[str, Row]] = defaultdict(dict)
    for chunk in chunks:
        name = embedded_collection(Kind(chunk["kind"]), chunk["embedding_model"])
        by_collection[name][chunk["chunk_id"]] = chunk
    with connect(settings) as client:
        for name in by_collection.keys() & collection_names(client):
            wanted = by_collection[name]
            fields = ["content_hash", "embedding_model"]
            for portion in _portions(wanted):
                for record in client.retrieve(name, portion, with_payload=fields, with_vectors=[DENSE]):
                    chunk = wanted[str(record.id)]
                    if isinstance(record.vector, dict) and record.payload == {name: chunk[name] for name in fields}:
                        known[chunk["chunk_id"]] = np.asarray(record.vector[DENSE], dtype=np.float32)
    return known


def _current(client: QdrantClient, rows: Sequence[Row]) -> list[Row]:
    versions = _versions_in_force(client, rows)
    return [row for row in rows if row["version"] >= versions.get(row["document_id"], -1)]


def _versions_in_force(client: QdrantClient, rows: Iterable[Row]) -> dict[str, int]:
    versions: dict[str, int] = {}
    for kind, group in _by_kind(rows).items():
        for collection in (cleaned_collection(kind), TOMBSTONES):
            for portion in _portions(row["document_id"] for row in group):
                for record in client.retrieve(collection, portion, with_payload=["version"]):
                    document_id = str(record.id)
                    version = int((record.payload or {})["version"])
                    versions[document_id] = max(version, versions.get(document_id, -1))
    return versions


def _of_documents(embeddings: pa.Table, kind: Kind, rows: Iterable[Row]) -> pa.Table:
    import pyarrow.compute as pc

    ids = [row["document_id"] for row in rows]
    return embeddings.filter((pc.field("kind") == kind.value) & pc.field("document_id").isin(ids))


def _write_chunks(
    client: QdrantClient, kind: Kind, chunks: Mapping[str, Row], embeddings: pa.Table
) -> tuple[str | None, set[str]]:
    """Write the chunks of one kind, which one model embedded; return their collection, if there are any, and ids."""
    if embeddings.num_rows == 0:
        return None, set()
    model_id = embeddings["embedding_model"][0].as_py()
    collection = ensure_embedded(client, kind, model_id, len(embeddings["dense"][0]))
    for points in _points(kind, chunks, embeddings):
        _upsert(client, collection, points)
    return collection, set(embeddings["chunk_id"].to_pylist())


def _points(kind: Kind, chunks: Mapping[str, Row], embeddings: pa.Table) -> Iterator[list[models.PointStruct]]:
    from qdrant_client import models

    fields = CHUNK_TYPES[kind].model_fields
    # A vector as Python floats takes eight times its size in Arrow, so only a portion at a time becomes Python.
    for portion in embeddings.to_batches(max_chunksize=_PORTION):
        points = []
        for row in portion.to_pylist():
            sparse = models.SparseVector(indices=row["sparse_indices"], values=row["sparse_values"])
            vector: models.VectorStruct = {DENSE: row["dense"], SPARSE: sparse}
            payload = _payload(chunks[row["chunk_id"]], fields)
            points.append(models.PointStruct(id=row["chunk_id"], vector=vector, payload=payload))
        yield points


def _chunk_ids(client: QdrantClient, collection: str, rows: Iterable[Row]) -> dict[str, str]:
    """Return the chunks a collection holds of these documents: chunk id → document id."""
    from qdrant_client import models

    found: dict[str, str] = {}
    for portion in _portions(row["document_id"] for row in rows):
        chosen = models.Filter(
            must=[models.FieldCondition(key="document_id", match=models.MatchAny(any=list(portion)))]
        )
        for chunk_id, payload in scroll(client, collection, ["document_id"], chosen):
            found[chunk_id] = payload["document_id"]
    return found


def _upsert(client: QdrantClient, collection: str, points: Sequence[models.PointStruct]) -> None:
    for portion in _requests(points):
        client.upsert(collection, portion, wait=True)


def _requests(points: Iterable[models.PointStruct]) -> Iterator[list[models.PointStruct]]:
    portion: list[models.PointStruct] = []
    characters = 0
    for point in points:
        length = len((point.payload or {}).get("content", ""))
        if portion and (len(portion) == _PORTION or characters + length > _PORTION_CHARACTERS):
            yield portion
            portion, characters = [], 0
        portion.append(point)
        characters += length
    if portion:
        yield portion


def _delete(client: QdrantClient, collection: str, ids: Sequence[str]) -> None:
    for portion in _portions(ids):
        client.delete(collection, list(portion), wait=True)


def _tombstone(row: Row) -> models.PointStruct:
    from qdrant_client import models

    payload = {"kind": row["kind"], "version": row["version"], "deleted_at": datetime.now(UTC).isoformat()}
    return models.PointStruct(id=row["document_id"], vector={}, payload=payload)


def _payload(row: Row, fields: Iterable[str]) -> Row:
    return {
        name: value.isoformat() if isinstance(value := row[name], datetime) else value for name in fields if name in row
    }


def _by_kind(rows: Iterable[Row]) -> dict[Kind, list[Row]]:
    groups: dict[Kind, list[Row]] = defaultdict(list)
    for row in rows:
        groups[Kind(row["kind"])].append(row)
    return groups


def _portions(items: Iterable[Item], size: int = _PORTION) -> Iterator[list[Item]]:
    iterator = iter(items)
    while portion := list(islice(iterator, size)):
        yield portion
