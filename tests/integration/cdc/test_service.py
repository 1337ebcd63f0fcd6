"""The CDC service between a real MongoDB and a real RabbitMQ."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bson
import pymongo
import pytest
from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from pymongo.errors import PyMongoError
from tests.conftest import BINARIES
from tests.documents import article, post, row_of, source_file, store

from llmtwin.cdc import CdcService, state
from llmtwin.documents import Event, Operation
from llmtwin.errors import CollectionLostError, HistoryLostError, NotAReplicaSetError
from llmtwin.events import QUEUE, DrainLimits, drain, list_dead_letters, queue_depth
from llmtwin.local.ports import free_port
from llmtwin.local.servers import MongoServer
from llmtwin.settings import Settings
from llmtwin.warehouse import ensure_schema
from llmtwin.warehouse.connection import CODEC

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel
    from pymongo.database import Database

    Warehouse = Database[dict[str, Any]]

pytestmark = pytest.mark.stack


@contextmanager
def running(settings: Settings, snapshot: bool = False) -> Iterator[list[BaseException]]:
    """Run the service in a thread; what it raised is in the list that is given."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            CdcService(settings, stop).run(snapshot)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield raised
    finally:
        stop.set()
        thread.join(timeout=30)
        assert not thread.is_alive()


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def collect(channel: BlockingChannel) -> list[Event]:
    taken: list[Event] = []
    drain(channel, DrainLimits(), taken.extend)
    return taken


def test_creates_updates_and_deletes_become_events_in_order(
    settings: Settings, mongodb: Warehouse, channel: BlockingChannel
) -> None:
    events: list[Event] = []
    with running(settings) as raised:
        wait_for(lambda: state.load(mongodb))
        for change in (
            lambda: store(mongodb, article(1), post(1), source_file(1)),
            lambda: store(mongodb, article(1, "Changed.")),
            lambda: mongodb.articles.update_one({"_id": article(1).id}, {"$set": {"title": "New"}}),
            lambda: mongodb.articles.delete_one({"_id": article(1).id}),
        ):
            change()
            wait_for(lambda: queue_depth(channel))
            time.sleep(0.1)
            events += collect(channel)
    assert not raised
    of_article = [event for event in events if event.document_id == article(1).id]
    assert [event.op for event in of_article] == ["create", "update", "update", "delete"]
    assert [event.version for event in of_article] == sorted({event.version for event in of_article})
    assert of_article[1].document is not None
    assert of_article[1].document["content"] == "Changed."
    assert of_article[3].document is None
    assert {event.kind for event in events} == {"article", "post", "repository"}


def test_the_first_start_copies_what_is_there_and_later_ones_resume(
    settings: Settings, mongodb: Warehouse, channel: BlockingChannel
) -> None:
    ensure_schema(mongodb)
    store(mongodb, *(article(number) for number in range(30)))
    with running(settings):
        wait_for(lambda: queue_depth(channel) == 30)
    assert {event.op for event in collect(channel)} == {Operation.SNAPSHOT}
    store(mongodb, article(99))  # while the service is down
    with running(settings):
        wait_for(lambda: queue_depth(channel))
        time.sleep(0.3)
    assert [(event.op, event.document_id) for event in collect(channel)] == [("create", article(99).id)]


def test_a_delete_between_a_first_snapshot_that_was_cut_off_and_the_next_is_not_lost(
    settings: Settings, mongodb: Warehouse, channel: BlockingChannel
) -> None:
    ensure_schema(mongodb)
    rows = [row_of(post(number)) for number in range(4000)]
    mongodb.posts.insert_many(rows, ordered=False)
    with running(settings):
        wait_for(lambda: queue_depth(channel))
    assert state.load(mongodb) is None, "it was not cut off"
    copied = collect(channel)[0]
    mongodb.posts.delete_one({"_id": copied.document_id})
    with running(settings):
        wait_for(lambda: (place := state.load(mongodb)) and place.token)
    events: list[Event] = []
    while portion := collect(channel):
        events += portion
    [*_, last] = [event for event in events if event.document_id == copied.document_id]
    assert last.op is Operation.DELETE
    assert last.version > copied.version


def test_a_snapshot_on_demand_outranks_what_was_published_before(
    settings: Settings, mongodb: Warehouse, channel: BlockingChannel
) -> None:
    with running(settings):
        wait_for(lambda: state.load(mongodb))
        store(mongodb, article(1))
        wait_for(lambda: queue_depth(channel))
    [created] = collect(channel)
    with running(settings, snapshot=True):
        wait_for(lambda: queue_depth(channel))
    [copied] = collect(channel)
    assert copied.op is Operation.SNAPSHOT
    assert copied.version > created.version


def test_an_idle_stream_still_advances_its_token(
    settings: Settings, mongodb: Warehouse, channel: BlockingChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmtwin.cdc.service._HEARTBEAT_SECONDS", 0.1)
    with running(settings):
        wait_for(lambda: (place := state.load(mongodb)) and place.token)
        first = state.load(mongodb)
        mongodb.unwatched.insert_one({})
        wait_for(lambda: state.load(mongodb) != first)
    assert queue_depth(channel) == 0


def test_stopping_does_not_go_back_behind_the_last_heartbeat(
    settings: Settings, mongodb: Warehouse, channel: BlockingChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmtwin.cdc.service._HEARTBEAT_SECONDS", 0.1)

    def stored_time() -> str:
        place = state.load(mongodb)
        return place.token["_data"][2:18] if place and place.token else ""  # a token begins with the time it is of

    with running(settings):
        wait_for(stored_time)
        store(mongodb, article(1))
        wait_for(lambda: queue_depth(channel))
        written = mongodb.client.admin.command("ping")["operationTime"]
        written_time = f"{written.time:08X}{written.inc:08X}"
        mongodb.unwatched.insert_one({})
        wait_for(lambda: stored_time() > written_time)
    assert stored_time() > written_time


def test_the_place_is_not_stored_before_the_broker_confirmed(
    settings: Settings, mongodb: Warehouse, channel: BlockingChannel
) -> None:
    with running(settings):
        wait_for(lambda: state.load(mongodb))
    stored = state.load(mongodb)
    channel.queue_unbind(QUEUE, "llmtwin.cdc", routing_key="#")
    stop = threading.Event()
    service = CdcService(settings.model_copy(update={"rabbitmq_url": "amqp://127.0.0.1:1/%2F"}), stop)
    store(mongodb, article(1))
    thread = threading.Thread(target=service.run)
    thread.start()
    time.sleep(1.5)
    stop.set()
    thread.join(timeout=30)
    assert state.load(mongodb) == stored
    with running(settings):  # the broker is back, and with it the binding
        wait_for(lambda: queue_depth(channel) == 1)


class ForgetfulMongo(MongoServer):
    """A replica set whose oplog holds hardly anything."""

    def command(self) -> list[str]:
        command = super().command()
        command[command.index("--oplogSize") + 1] = "1"
        return command


@pytest.mark.chaos
def test_lost_history_stops_with_the_way_out(settings: Settings, channel: BlockingChannel, tmp_path: Path) -> None:
    server = ForgetfulMongo(tmp_path / "forgetful", free_port(), BINARIES)
    settings = settings.model_copy(update={"mongodb_url": server.url})
    try:
        server.start()
        server.wait_ready()
        with pymongo.MongoClient[dict[str, Any]](server.url) as client:
            database = client[settings.mongodb_database]
            with running(settings):
                wait_for(lambda: state.load(database))
            place = state.load(database)
            since = client.admin.command("ping")["operationTime"]
            oplog = client.local["oplog.rs"].find().sort("$natural", 1).limit(1)
            while oplog.rewind().next()["ts"] <= since:
                database.noise.insert_many([{"noise": "x" * 100_000} for _ in range(100)])
            with running(settings) as raised:
                wait_for(lambda: raised)
            assert isinstance(raised[0], HistoryLostError)
            assert "llmtwin cdc --snapshot" in str(raised[0])
            with running(settings, snapshot=True) as raised:
                wait_for(lambda: state.load(database) != place)
            assert not raised
    finally:
        server.stop()


def test_a_dropped_collection_stops_with_the_way_out(
    settings: Settings, mongodb: Warehouse, channel: BlockingChannel
) -> None:
    with running(settings) as raised:
        wait_for(lambda: state.load(mongodb))
        time.sleep(0.5)
        mongodb.articles.drop()
        wait_for(lambda: raised)
    assert isinstance(raised[0], CollectionLostError)
    assert "verify --repair" in str(raised[0])


def test_a_collection_that_another_is_renamed_over_stops_with_the_way_out(
    settings: Settings, mongodb: Warehouse, channel: BlockingChannel
) -> None:
    with running(settings) as raised:
        wait_for(lambda: state.load(mongodb))
        mongodb.restored.insert_one({})
        mongodb.restored.rename("articles", dropTarget=True)
        wait_for(lambda: raised)
    assert isinstance(raised[0], CollectionLostError)
    assert f"{mongodb.name}.restored to {mongodb.name}.articles: rename" in str(raised[0])


def test_dates_and_strings_that_python_cannot_hold_stop_nothing(
    settings: Settings, mongodb: Warehouse, channel: BlockingChannel
) -> None:
    far, latin = (row_of(article(number, "cafe")) for number in (1, 2))
    not_utf8 = bson.encode(latin, codec_options=CODEC).replace(b"cafe", b"caf\xe9")
    with running(settings) as raised:
        wait_for(lambda: state.load(mongodb))
        mongodb.articles.insert_one(far | {"published_at": DatetimeMS(10**15)})
        mongodb.articles.insert_one(RawBSONDocument(not_utf8))
        store(mongodb, article(3))
        wait_for(lambda: raised or queue_depth(channel) == 3)
    assert not raised
    streamed = {event.document_id: event.document or {} for event in collect(channel)}
    with running(settings, snapshot=True) as raised:
        wait_for(lambda: raised or queue_depth(channel) == 3)
    assert not raised
    assert {event.document_id: event.document for event in collect(channel)} == streamed
    assert streamed[article(1).id]["published_at"] == "DatetimeMS(1000000000000000)"
    assert streamed[article(2).id]["content"] == "caf\N{REPLACEMENT CHARACTER}"


def test_a_document_that_can_be_no_event_goes_to_the_dead_letters(
    settings: Settings, mongodb: Warehouse, channel: BlockingChannel
) -> None:
    with running(settings) as raised:
        wait_for(lambda: state.load(mongodb))
        for key in (ObjectId(), "endless" * 100_000):
            mongodb.get_collection("articles").insert_one({"_id": key}, bypass_document_validation=True)
        store(mongodb, article(1))
        wait_for(lambda: queue_depth(channel) == 1)
    assert not raised
    letters = list_dead_letters(channel)
    assert len(letters) == 2
    assert all("is no UUID" in letter.reason for letter in letters)


class StandaloneMongo(MongoServer):
    """A mongod without an oplog."""

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        command = super().command()
        place = command.index("--replSet")
        return command[:place] + command[place + 2 :]

    def is_ready(self) -> bool:
        with pymongo.MongoClient[dict[str, Any]](self.url, serverSelectionTimeoutMS=500) as client:
            try:
                return bool(client.admin.command("ping")["ok"])
            except PyMongoError:
                return False


def test_a_standalone_mongod_is_refused_with_the_way_out(
    settings: Settings, channel: BlockingChannel, tmp_path: Path
) -> None:
    server = StandaloneMongo(tmp_path / "standalone", free_port(), BINARIES)
    try:
        server.start()
        server.wait_ready()
        with running(settings.model_copy(update={"mongodb_url": server.url})) as raised:
            wait_for(lambda: raised)
    finally:
        server.stop()
    assert isinstance(raised[0], NotAReplicaSetError)
    assert "rs.initiate()" in str(raised[0])
