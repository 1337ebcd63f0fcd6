"""Connections to MongoDB, with the options that keep types whole."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from llmtwin.errors import NotAReplicaSetError, WarehouseError
from llmtwin.settings import Settings, redacted

Row = dict[str, Any]

# Without these two, UUIDs come back as opaque binaries and times without a zone.
CODEC: CodecOptions[Row] = CodecOptions(uuid_representation=4, tz_aware=True, tzinfo=UTC)


def connect(settings: Settings, timeout_seconds: float = 10.0) -> MongoClient[Row]:
    """Return a client that has reached the server.

    Raises:
        WarehouseError: No server answers at the URL in the settings.
    """
    client: MongoClient[Row] = MongoClient(
        settings.mongodb, serverSelectionTimeoutMS=int(timeout_seconds * 1000), appname="llmtwin", connect=False
    )
    try:
        client.admin.command("ping")
    except PyMongoError as error:
        client.close()
        raise WarehouseError(
            f"MongoDB does not answer at {redacted(settings.mongodb)}: {error}. "
            "Start it with `llmtwin up`, or set MONGODB_URL to a server that runs."
        ) from error
    return client


def open_database(client: MongoClient[Row], settings: Settings) -> Database[Row]:
    """Return the project's database, with UUIDs and aware times."""
    return client.get_database(settings.mongodb_database, codec_options=CODEC)


def require_replica_set(client: MongoClient[Row]) -> None:
    """Check that the server has an oplog to stream from.

    Raises:
        NotAReplicaSetError: The server runs standalone.
    """
    hello = client.admin.command("hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise NotAReplicaSetError(
            "MongoDB runs standalone, so it has no change streams. Start mongod with --replSet rs0 and run "
            "rs.initiate() once; one node is enough."
        )
