"""The one message on the wire: a change of one document."""

from __future__ import annotations

import base64
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

import orjson
from pydantic import Field, ValidationError, model_validator

from llmtwin.documents.contract import Contract, Kind, Timestamp, Version
from llmtwin.errors import MalformedEventError

SCHEMA_VERSION = 1
CONTENT_TYPE = "application/json"
_WRITABLE_DEPTH = 254  # orjson reads deeper nesting than it writes


class Operation(StrEnum):
    """What happened to the document."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    SNAPSHOT = "snapshot"


class Event(Contract):
    """A change of one document, as it travels through RabbitMQ.

    The document is carried as MongoDB held it: it is checked against its contract when it is staged, so that one bad
    document is one quarantined row and not a message nobody can read.
    """

    event_id: UUID = Field(description="UUIDv5 of (document_id, version, op)")
    op: Operation
    kind: Kind
    document_id: UUID
    version: Version
    document: dict[str, Any] | None = Field(description="the whole raw document; null on delete")
    emitted_at: Timestamp

    @model_validator(mode="after")
    def _document_fits_operation(self) -> Self:
        if (self.op is Operation.DELETE) != (self.document is None):
            raise ValueError(f"a {self.op} event must {'not ' if self.op is Operation.DELETE else ''}carry a document")
        return self

    @property
    def routing_key(self) -> str:
        """`<kind>.<op>`, the topic it is published under."""
        return f"{self.kind}.{self.op}"

    def to_json(self) -> bytes:
        """Return the event as UTF-8 JSON: UUIDs and times as text, bytes as base64, what JSON does not know as text."""
        return orjson.dumps(vars(self), default=_as_text, option=orjson.OPT_UTC_Z)

    @classmethod
    def from_json(cls, body: bytes, schema_version: int = SCHEMA_VERSION) -> Self:
        """Read an event off the wire.

        Raises:
            MalformedEventError: The body is no JSON, breaks the contract, has an unknown kind, or was written under a
                newer schema version than this reader knows.
        """
        if schema_version > SCHEMA_VERSION:
            raise MalformedEventError(
                f"schema version {schema_version} is newer than this reader's {SCHEMA_VERSION}: "
                "upgrade llmtwin, then requeue the message"
            )
        try:
            event = cls.model_validate(orjson.loads(body))
            # Staging writes the document as JSON again. Counting is cheap, and few texts hold so many brackets.
            if body.count(b"[") + body.count(b"{") > _WRITABLE_DEPTH:
                orjson.dumps(event.document)
        except orjson.JSONDecodeError as error:
            raise MalformedEventError(f"not JSON: {error}") from error
        except orjson.JSONEncodeError as error:
            raise MalformedEventError(f"its document is nested too deeply to be staged: {error}") from error
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'event'}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise MalformedEventError(f"breaks the event contract: {problems}") from error
        return event


def _as_text(value: Any) -> str:
    """Write what MongoDB knows and JSON does not (ObjectId, Decimal128 …): the document's contract decides about it."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
