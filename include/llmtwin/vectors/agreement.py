"""Do MongoDB and Qdrant agree? Cleans and chunks every raw document anew and compares with what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import ValidationError
from pymongo.database import Database

from llmtwin.documents import KIND_OF_COLLECTION, RAW_TYPES, Kind
from llmtwin.errors import NoTextError
from llmtwin.features import handler_for
from llmtwin.settings import Settings
from llmtwin.vectors.collections import aliases, cleaned_alias, embedded_alias, scroll

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


@dataclass
class Agreement:
    """What differs for one kind. Sets hold document ids."""

    kind: Kind
    documents: int = 0
    chunks: int = 0
    missing: set[UUID] = field(default_factory=set)
    """In MongoDB, not (or not wholly) in Qdrant."""
    stale: set[UUID] = field(default_factory=set)
    """In both, with another text."""
    orphaned: set[UUID] = field(default_factory=set)
    """In Qdrant, not in MongoDB."""
    unreadable: dict[UUID, str] = field(default_factory=dict)
    """In MongoDB and, with this reason, not fit for Qdrant, which may hold its last good text."""

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return not (self.missing or self.stale or self.orphaned)


def compare(database: Database[dict[str, Any]], client: QdrantClient, settings: Settings) -> list[Agreement]:
    """Compare both stores, exactly: one cleaned point per document, one point per chunk, equal texts, nothing else.

    What is still under way (in the queue, in a batch) shows as missing or stale.

    Raises:
        VectorStoreError: Qdrant is down or refused.
    """
    return [_compare_kind(database, client, settings, name) for name in KIND_OF_COLLECTION]


def _compare_kind(
    database: Database[dict[str, Any]], client: QdrantClient, settings: Settings, collection: str
) -> Agreement:
    kind = KIND_OF_COLLECTION[collection]
    result = Agreement(kind)
    cleaned = {id_: payload["content_hash"] for id_, payload in _points(client, cleaned_alias(kind), ["content_hash"])}
    chunks: dict[UUID, dict[UUID, tuple[str, str]]] = {}
    fields = ["document_id", "content_hash", "embedding_model"]
    for id_, payload in _points(client, embedded_alias(kind), fields):
        of_document = chunks.setdefault(UUID(payload["document_id"]), {})
        of_document[id_] = (payload["content_hash"], payload["embedding_model"])
    handler = handler_for(kind, settings)
    for row in database[collection].find():
        try:
            document = handler.clean(RAW_TYPES[kind].model_validate(row), version=0)
            pieces = handler.chunk(document)
        except (ValidationError, NoTextError) as error:
            result.unreadable[row["_id"]] = str(error)
            # What Qdrant holds of it is its last good text; an event would only be quarantined again.
            cleaned.pop(row["_id"], None)
            chunks.pop(row["_id"], None)
            continue
        expected = {chunk.chunk_id: (chunk.content_hash, chunk.embedding_model) for chunk in pieces}
        result.documents += 1
        result.chunks += len(expected)
        held = chunks.pop(document.document_id, {})
        held_hash = cleaned.pop(document.document_id, None)
        if held_hash is None or expected.keys() - held.keys():
            result.missing.add(document.document_id)
        elif held_hash != document.content_hash or held != expected:
            result.stale.add(document.document_id)
    result.orphaned = set(cleaned) | set(chunks)
    return result


def _points(client: QdrantClient, alias: str, fields: list[str]) -> Iterator[tuple[UUID, dict[str, Any]]]:
    if alias in aliases(client):  # else nothing of this kind was ever written
        yield from ((UUID(id_), payload) for id_, payload in scroll(client, alias, fields))
