"""Connections to MongoDB, with the options that keep types whole."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import ConfigurationError, PyMongoError

from llmtwin.errors import NotAReplicaSetError, WarehouseError
from llmtwin.settings import Settings, redacted

Row = dict[str, Any]

# Without the first two, UUIDs come back as opaque binaries and times without a zone. Without the last two, one document
# that another program wrote with a date beyond the year 9999 or a broken string makes all that are read with it
# unreadable; so it comes as a `DatetimeMS`, or with U+FFFD in its text, and the contracts decide about it alone.
CODEC: CodecOptions[Row] = CodecOptions(
    uuid_representation=4,
    tz_aware=True,
    tzinfo=UTC,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)


def connect(settings: Settings, timeout_seconds: float = 10.0) -> MongoClient[Row]:
    """Return a client that has reached the server.

    Raises:
        WarehouseError: The URL in the settings is none, or no server answers there.
    """
    try:
        client: MongoClient[Row] = MongoClient(
            settings.mongodb, serverSelectionTimeoutMS=int(timeout_seconds * 1000), appname="llmtwin", connect=False
        )
    except (ConfigurationError, ValueError):
        # What pymongo says may quote a part of the password, so it is left out.
        raise WarehouseError(
            f"not a MongoDB URL: {redacted(settings.mongodb)}; set MONGODB_URL like "
            "mongodb://user:password@host:27017/?replicaSet=rs0, with / ? # @ : and % in a password percent-encoded"
        ) from None
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
