"""The CDC service: snapshot once, then stream for ever.

Failure windows:

- killed before the broker confirmed: the token is older than the message, which is published again;
- killed between confirm and token: the same, a duplicate with the same event id and version;
- killed during the first snapshot: it starts over at a newer time, and the stream from where the first try began, or a
  delete between the two would be in neither;
- MongoDB or RabbitMQ away: the service waits with growing pauses and goes on from the stored place.

It never stores a place before everything up to it is confirmed.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog
from bson import Timestamp
from pymongo import MongoClient
from pymongo.change_stream import ChangeStream
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, OperationFailure

from llmtwin.cdc import state
from llmtwin.cdc.changes import OPERATIONS, Poison, event_from_change, event_from_snapshot, version_of
from llmtwin.cdc.state import CdcState
from llmtwin.documents import KIND_OF_COLLECTION, Event
from llmtwin.errors import BrokerError, HistoryLostError, WarehouseError
from llmtwin.events import Publisher
from llmtwin.settings import Settings
from llmtwin.warehouse import connect, ensure_schema, open_database, require_replica_set

log = structlog.get_logger(__name__)

_HISTORY_LOST = {286, 280}  # ChangeStreamHistoryLost, ChangeStreamFatalError
_AWAIT_MS = 500  # how long the server holds an empty reply; bounds the wait for a stop signal
# Well below the publisher's window, so that it has something to send while MongoDB prepares the next reply.
_BATCH = 300
_SAVE_SECONDS = 1.0
_HEARTBEAT_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 30.0

Row = dict[str, Any]


class CdcService:
    """Streams changes of one database into RabbitMQ until it is stopped.

    Args:
        settings: Where MongoDB and RabbitMQ are.
        stop: Set it, from a signal handler say, and ``run`` returns after what is under way is confirmed and stored.
    """

    def __init__(self, settings: Settings, stop: threading.Event | None = None) -> None:
        self._settings = settings
        self._stop = stop or threading.Event()

    def run(self, snapshot: bool = False) -> None:
        """Stream until stopped.

        Args:
            snapshot: Copy every document first, even if a place to resume from is stored.

        Raises:
            NotAReplicaSetError: MongoDB has no change streams.
            HistoryLostError: The stored place is older than the oplog.
            CollectionLostError: A watched collection was dropped or renamed.
        """
        pause = 1.0
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                with connect(self._settings) as client, Publisher[CdcState](self._settings.rabbitmq) as publisher:
                    require_replica_set(client)
                    database = open_database(client, self._settings)
                    ensure_schema(database)
                    if snapshot or state.load(database) is None:
                        self._snapshot(client, database, publisher)
                        snapshot = False
                    self._stream(database, publisher)
            except (BrokerError, ConnectionFailure, WarehouseError) as error:
                if isinstance(error, WarehouseError) and not isinstance(error.__cause__, ConnectionFailure):
                    raise
                if time.monotonic() - started > _LONGEST_PAUSE_SECONDS:
                    pause = 1.0
                log.warning("connection lost, will resume", error=str(error), pause_seconds=pause)
                self._stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _snapshot(self, client: MongoClient[Row], database: Database[Row], publisher: Publisher[CdcState]) -> None:
        # The time is taken first: a document that changes while it is copied comes again in the stream, newer.
        began: Timestamp = client.admin.command("ping")["operationTime"]
        is_first = state.load(database) is None
        place = CdcState(start_time=state.begin_first_snapshot(database, began) if is_first else began)
        count = 0
        for name in KIND_OF_COLLECTION:
            for document in database[name].find(batch_size=500):
                self._hand_over(publisher, event_from_snapshot(name, document, version_of(began)), place)
                count += 1
                if self._stop.is_set():
                    return
        publisher.flush()
        state.save(database, place)
        log.info("snapshot complete", documents=count, version=version_of(began))
        if not is_first:
            log.warning("a copy tells of no delete: run `llmtwin verify --repair` once it is searchable")

    def _stream(self, database: Database[Row], publisher: Publisher[CdcState]) -> None:
        saved = state.load(database)
        if saved is None or self._stop.is_set():
            return
        try:
            with _watch(database, saved) as stream:
                log.info("streaming", database=database.name)
                quiet = True
                # What the publisher confirmed before the newest heartbeat is an older place than the heartbeat's.
                passed = publisher.confirmed
                saved_at = time.monotonic()
                while not self._stop.is_set():
                    change = stream.try_next()
                    if change is not None:
                        quiet = False
                        self._hand_over(publisher, event_from_change(change), CdcState(token=change["_id"]))
                    place = publisher.confirmed  # also where a broken connection shows while nothing is published
                    if time.monotonic() - saved_at < (_HEARTBEAT_SECONDS if quiet else _SAVE_SECONDS):
                        continue
                    if change is None:
                        # Nothing came for a while: the stream's own token moves on with the oplog although no watched
                        # document does, and must be stored before the oplog forgets the last one.
                        publisher.flush()
                        passed, place, quiet = publisher.confirmed, CdcState(token=_token(stream)), True
                    elif place == passed:
                        continue
                    saved = _save(database, place, saved)
                    saved_at = time.monotonic()
                publisher.flush()
                if publisher.confirmed != passed:
                    _save(database, publisher.confirmed, saved)
        except OperationFailure as error:
            if error.code in _HISTORY_LOST:
                raise HistoryLostError(
                    f"MongoDB's oplog no longer reaches back to where this service stopped ({error.details}). "
                    "Run `llmtwin cdc --snapshot` once: it copies every document again and streams on from there; "
                    "then `llmtwin verify --repair` removes what was deleted meanwhile. "
                    "A larger oplog (replSetResizeOplog) lets the service be away for longer."
                ) from error
            raise

    def _hand_over(self, publisher: Publisher[CdcState], event: Event | Poison | None, place: CdcState) -> None:
        match event:
            case Event():
                publisher.publish(event, place)
            case Poison():
                log.error("change sent to the dead-letter queue", reason=event.reason)
                publisher.publish_dead(event.body, event.routing_key, event.reason, place)
            case None:
                pass


def _watch(database: Database[Row], place: CdcState) -> ChangeStream[Row]:
    watched = {"ns.coll": {"$in": list(KIND_OF_COLLECTION)}}
    pipeline = [
        {
            "$match": {
                "$or": [
                    {"operationType": {"$in": [*OPERATIONS, "drop", "rename"]}, **watched},
                    {"operationType": "rename", "to.coll": watched["ns.coll"]},
                    {"operationType": {"$in": ["dropDatabase", "invalidate"]}},
                ]
            }
        }
    ]
    start = {"resume_after": place.token} if place.token else {"start_at_operation_time": place.start_time}
    options: dict[str, Any] = {"full_document": "updateLookup", "batch_size": _BATCH, "max_await_time_ms": _AWAIT_MS}
    return database.watch(pipeline, **options, **start)


def _token(stream: ChangeStream[Row]) -> Row | None:
    return None if stream.resume_token is None else dict(stream.resume_token)


def _save(database: Database[Row], place: CdcState | None, saved: CdcState) -> CdcState:
    if place is None or place == saved or place == CdcState():
        return saved
    state.save(database, place)
    return place
