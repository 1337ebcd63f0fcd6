"""The message on the wire: what is read, what is refused, and with which words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from bson import Binary, DatetimeMS, Decimal128, Int64, ObjectId
from tests.documents import AUTHOR, WHEN, article, event, event_of, post, source_file

from llmtwin.documents import SCHEMA_VERSION, Event, Kind, Operation, RawDocument, event_id
from llmtwin.errors import MalformedEventError


def changed(**changes: Any) -> bytes:
    """Return a good event's JSON with fields replaced."""
    return orjson.dumps(orjson.loads(event(article(1)).to_json()) | changes)


@pytest.mark.parametrize("document", [article(1), post(1), source_file(1, "# ünïcode 漢字 🎉\n\tindented\n")])
@pytest.mark.parametrize("op", list(Operation))
def test_what_is_written_is_read_back(document: RawDocument, op: Operation) -> None:
    written = event(document, version=2**63 - 1, op=op)
    read = Event.from_json(written.to_json())
    assert read == written
    assert read.routing_key == f"{document.kind}.{op}"
    assert read.event_id == event_id(document.id, 2**63 - 1, op)


def test_the_wire_carries_plain_json_with_times_in_utc() -> None:
    on_wire = orjson.loads(event(article(1)).to_json())
    assert on_wire.keys() == {"event_id", "op", "kind", "document_id", "version", "document", "emitted_at"}
    assert on_wire["emitted_at"] == "2026-01-02T03:04:05Z"
    assert on_wire["document"]["author_id"] == str(AUTHOR.id)


def test_what_only_mongodb_knows_travels_as_text() -> None:
    odd = {
        "id": AUTHOR.id, "at": datetime(2026, 1, 2, tzinfo=UTC), "raw": b"\xff", "binary": Binary(b"\0", 128),
        "key": ObjectId("65a000000000000000000001"), "price": Decimal128("1.10"), "many": Int64(2**62),
        "nested": [{"when": DatetimeMS(2**60)}],
    }  # fmt: skip
    written = event_of(article(1).id, Kind.ARTICLE, 1, Operation.CREATE, odd)
    assert Event.from_json(written.to_json()).document == {
        "id": str(AUTHOR.id), "at": "2026-01-02T00:00:00Z", "raw": "/w==", "binary": "AA==",
        "key": "65a000000000000000000001", "price": "1.10", "many": 2**62,
        "nested": [{"when": str(DatetimeMS(2**60))}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "breaks the event contract: event: Input should be"),
        (b"{}", "event_id: Field required; op: Field required; kind: Field required"),
        (changed(kind="film"), "kind: Input should be 'post', 'article' or 'repository'"),
        (changed(op="truncate"), "op: Input should be 'create', 'update', 'delete' or 'snapshot'"),
        (changed(surprise=1), "surprise: Extra inputs are not permitted"),
        (changed(version=2**63), "version: Input should be less than"),
        (changed(version=-1), "version: Input should be greater than or equal to 0"),
        (changed(document=None), "a create event must carry a document"),
        (changed(op="delete"), "a delete event must not carry a document"),
        (changed(emitted_at="2026-01-02T03:04:05"), "emitted_at: Input should have timezone info"),
        (changed(emitted_at="9999-12-31T23:59:59-12:00"), "emitted_at: .*outside the years 1 to 9999"),
        (changed(emitted_at="0001-01-01T00:00:00+12:00"), "emitted_at: .*outside the years 1 to 9999"),
    ],
)
def test_what_can_never_be_read_is_malformed_and_says_why(body: bytes, complaint: str) -> None:
    with pytest.raises(MalformedEventError, match=complaint):
        Event.from_json(body)


def test_a_newer_schema_is_refused_before_its_body_is_looked_at() -> None:
    with pytest.raises(MalformedEventError, match="newer than this reader's 1: upgrade llmtwin"):
        Event.from_json(b"a format of the future", SCHEMA_VERSION + 1)


def test_a_bad_document_is_no_bad_event() -> None:
    body = changed(document={"_id": "not mine", "content": None, "published_at": "never"})
    assert Event.from_json(body).document == {"_id": "not mine", "content": None, "published_at": "never"}


@pytest.mark.parametrize(("depth", "fits"), [(250, True), (300, False), (900, False)])
def test_only_nesting_that_can_be_written_again_is_read(depth: int, fits: bool) -> None:
    nested = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    hollow = event_of(article(1).id, Kind.ARTICLE, 1, Operation.CREATE, {"a": "here"})
    body = hollow.to_json().replace(b'{"a":"here"}', nested)
    if fits:
        assert orjson.dumps(Event.from_json(body).document) == nested
    else:
        with pytest.raises(MalformedEventError, match="nested too deeply"):
            Event.from_json(body)


def test_many_brackets_are_not_deep_nesting() -> None:
    written = event(article(1, "[{" * 1000))
    assert Event.from_json(written.to_json()) == written


def test_an_event_never_changes() -> None:
    with pytest.raises(ValueError, match="frozen"):
        event(article(1)).version = 2  # type: ignore[misc]
    assert event(article(1)).emitted_at == WHEN
