"""The servers' own promises; every other integration test relies on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pika
import psutil
import pytest
from pymongo import MongoClient

from llmtwin.errors import LocalStackError
from llmtwin.local.ports import free_port, is_free
from llmtwin.local.processes import owned_by
from llmtwin.local.servers import MongoServer, RabbitServer, Server

pytestmark = pytest.mark.stack

BINARIES = Path(__file__).resolve().parents[3] / ".local" / "bin"


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[MongoServer]:
    server = MongoServer(tmp_path / "mongo", free_port(), BINARIES)
    yield server
    server.stop()


@pytest.fixture
def rabbit(tmp_path: Path) -> Iterator[RabbitServer]:
    server = RabbitServer(tmp_path / "rabbit", free_port(), free_port(), free_port())
    yield server
    server.stop()


def start(server: Server) -> None:
    server.start()
    server.wait_ready()


def test_mongodb_is_a_primary_with_change_streams(mongo: MongoServer) -> None:
    start(mongo)
    with MongoClient(mongo.url) as client:
        assert client.admin.command("hello")["setName"] == "rs0"
        with client.watch() as stream:
            client.test.things.insert_one({"_id": 1})
            assert next(stream)["documentKey"] == {"_id": 1}


def test_mongodb_keeps_its_data_when_its_port_changes(mongo: MongoServer) -> None:
    start(mongo)
    with MongoClient(mongo.url) as client:
        client.test.things.insert_one({"_id": 1})
    mongo.stop()
    moved = MongoServer(mongo.folder, free_port(), BINARIES)
    try:
        start(moved)
        with MongoClient(moved.url) as client:
            assert client.test.things.count_documents({}) == 1
    finally:
        moved.stop()


def test_rabbitmq_keeps_confirmed_messages_over_a_restart(rabbit: RabbitServer) -> None:
    start(rabbit)
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish("", "kept", b"body")
    rabbit.stop()
    start(rabbit)
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        _method, _properties, body = connection.channel().basic_get("kept")
        assert body == b"body"


def test_stop_leaves_neither_process_nor_port(mongo: MongoServer, rabbit: RabbitServer) -> None:
    for server in (mongo, rabbit):
        start(server)
        started = owned_by(server.folder)
        assert started
        server.stop()
        assert owned_by(server.folder) == []
        assert not [process for process in started if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        assert all(is_free(port) for port in server.ports)


def test_servers_listen_on_the_loopback_interface_only(mongo: MongoServer, rabbit: RabbitServer) -> None:
    for server in (mongo, rabbit):
        start(server)
        listening = {
            connection.laddr.ip
            for process in owned_by(server.folder)
            for connection in process.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening <= {"127.0.0.1", "::1"}


def test_two_rabbitmqs_run_side_by_side(rabbit: RabbitServer, tmp_path: Path) -> None:
    other = RabbitServer(tmp_path / "other", free_port(), free_port(), free_port())
    try:
        start(rabbit)
        start(other)
        other.stop()
        assert rabbit.is_ready()
    finally:
        other.stop()


def test_a_server_that_ends_while_starting_is_reported_with_its_log(mongo: MongoServer) -> None:
    mongo.prepare()
    (mongo.folder / "db" / "WiredTiger.turtle").write_text("not a database")
    mongo.start()
    with pytest.raises(LocalStackError, match=r"(?s)mongodb ended while starting.*mongodb\.log.*WiredTiger"):
        mongo.wait_ready()
