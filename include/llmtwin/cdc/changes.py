"""From a change stream's entry to an event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from bson import Timestamp

from llmtwin.documents import KIND_OF_COLLECTION, Event, Kind, Operation, event_id
from llmtwin.errors import CollectionLostError

OPERATIONS = {
    "insert": Operation.CREATE,
    "update": Operation.UPDATE,
    "replace": Operation.UPDATE,
    "delete": Operation.DELETE,
}
# Entries after which documents are gone without an entry of their own.
_LOSSES = {"drop", "rename", "dropDatabase", "invalidate"}


@dataclass(frozen=True)
class Poison:
    """A change that can be no event; it goes to the dead-letter queue, so that it is seen and stops nothing."""

    body: bytes
    routing_key: str
    reason: str


def event_from_change(change: dict[str, Any]) -> Event | Poison | None:
    """Translate an entry of the change stream; None when there is nothing to say.

    An update whose document is already deleted again carries no document: the delete that follows says it all.

    Raises:
        CollectionLostError: A watched collection was dropped or renamed.
    """
    operation = change["operationType"]
    if operation in _LOSSES:
        names = [".".join(change[name].values()) for name in ("ns", "to") if name in change]
        raise CollectionLostError(
            f"{' to '.join(names) or 'the stream'}: {operation}; documents vanished without a delete event each. "
            "Restore the collection, or accept the loss: `llmtwin cdc --snapshot` starts anew and "
            "`llmtwin verify --repair` removes from Qdrant what MongoDB no longer holds."
        )
    op = OPERATIONS[operation]
    if op is not Operation.DELETE and change.get("fullDocument") is None:
        return None
    return _event(
        op,
        KIND_OF_COLLECTION[change["ns"]["coll"]],
        change["documentKey"]["_id"],
        version_of(change["clusterTime"]),
        None if op is Operation.DELETE else change["fullDocument"],
    )


def event_from_snapshot(collection: str, document: dict[str, Any], version: int) -> Event | Poison:
    """Return the event that says: the document was like this when the snapshot began."""
    return _event(Operation.SNAPSHOT, KIND_OF_COLLECTION[collection], document["_id"], version, document)


def version_of(cluster_time: Timestamp) -> int:
    """Return a cluster time as a sortable 64-bit integer: seconds in the upper half, counter in the lower."""
    return (cluster_time.time << 32) | cluster_time.inc


def seconds_of(version: int) -> int:
    """Return the Unix time, in seconds, at which a version was written."""
    return version >> 32


def _event(op: Operation, kind: Kind, key: Any, version: int, document: dict[str, Any] | None) -> Event | Poison:
    if not isinstance(key, UUID):
        body = orjson.dumps({"_id": str(key), "op": op, "kind": kind, "version": version})
        reason = f"its _id is no UUID; write documents through llmtwin: {key!r}"
        return Poison(body, f"{kind}.{op}", reason)
    # Not validated: all but the document is made here, and the document is validated when it is staged.
    return Event.model_construct(
        event_id=event_id(key, version, op),
        op=op,
        kind=kind,
        document_id=key,
        version=version,
        document=document,
        emitted_at=datetime.now(UTC),
    )
