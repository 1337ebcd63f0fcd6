"""Publishing events for documents whose copy in the feature store differs from MongoDB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pymongo import MongoClient
from pymongo.database import Database

from llmtwin.cdc.changes import Poison, event_from_snapshot, version_of
from llmtwin.documents import RAW_TYPES, Event, Kind, Operation, event_id
from llmtwin.events import Publisher
from llmtwin.settings import Settings

Row = dict[str, Any]


def repair(
    client: MongoClient[Row], database: Database[Row], settings: Settings, differing: Mapping[Kind, Iterable[UUID]]
) -> int:
    """Publish a snapshot of each document that is there and a delete of each that is not; return how many.

    Their version is MongoDB's time from before they are read, so a change that happens meanwhile outranks them.

    Raises:
        BrokerError: RabbitMQ is down or refused.
    """
    version = version_of(client.admin.command("ping")["operationTime"])
    count = 0
    with Publisher[int](settings.rabbitmq) as publisher:
        for kind, ids in differing.items():
            collection = RAW_TYPES[kind].collection
            for document_id in ids:
                document = database[collection].find_one({"_id": document_id})
                if document is None:
                    event: Event | Poison = _delete(kind, document_id, version)
                else:
                    event = event_from_snapshot(collection, document, version)
                if isinstance(event, Event):
                    publisher.publish(event, count)
                    count += 1
        publisher.flush()
    return count


def _delete(kind: Kind, document_id: UUID, version: int) -> Event:
    return Event(
        event_id=event_id(document_id, version, Operation.DELETE),
        op=Operation.DELETE,
        kind=kind,
        document_id=document_id,
        version=version,
        document=None,
        emitted_at=datetime.now(UTC),
    )
