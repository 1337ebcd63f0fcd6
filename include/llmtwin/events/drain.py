"""Taking events off the queue: nothing is acknowledged before it lies durably somewhere else.

Failure windows, each of which ends in a message seen twice and never in one lost:

- before ``write`` returned: the broker delivers everything again;
- after ``write``, before the acknowledgement: a file and a redelivery hold the same events;
- after a message was copied to the dead-letter queue, before the acknowledgement: it lies there twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pika

from llmtwin.documents import SCHEMA_VERSION, Event
from llmtwin.errors import MalformedEventError
from llmtwin.events.topology import (
    DEAD_EXCHANGE,
    QUEUE,
    SCHEMA_VERSION_HEADER,
    dead_letter_headers,
    queue_depth,
)

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

# A consumer cannot say "stop at so many bytes": its portions are sized by the messages seen so far, the first is small.
_FIRST_PREFETCH = 20
_PREFETCH = 200
# A message counted in the queue's depth may be on its way to another consumer; do not wait for it longer than this.
_IDLE_SECONDS = 1.0


@dataclass(frozen=True)
class DrainLimits:
    """How much one drain takes at the most; whichever is reached first."""

    messages: int = 2_000
    payload_bytes: int = 64_000_000
    seconds: float = 10.0


@dataclass
class DrainResult:
    """What one drain took off the queue, in messages."""

    messages: int = 0
    events: int = 0
    dead: int = 0


@dataclass
class _Taken:
    events: list[Event] = field(default_factory=list)
    dead: list[tuple[bytes, str, str, pika.BasicProperties]] = field(default_factory=list)
    last_tag: int = 0
    count: int = 0
    payload_bytes: int = 0


def drain(channel: BlockingChannel, limits: DrainLimits, write: Callable[[Sequence[Event]], None]) -> DrainResult:
    """Move what is in the queue into ``write``, newest event of each document only, and acknowledge it.

    Args:
        channel: An open channel in confirm mode, as ``events.connect`` gives.
        limits: When to stop.
        write: Stores the events durably; called once, and not at all if there is none.

    Raises:
        BrokerError: The connection broke; whatever was not acknowledged is delivered again.
    """
    taken = _take(channel, limits)
    events = compact(taken.events)
    if events:
        write(events)
    for body, routing_key, reason, properties in taken.dead:
        _bury(channel, body, routing_key, reason, properties)
    if taken.count:
        channel.basic_ack(taken.last_tag, multiple=True)
    return DrainResult(messages=taken.count, events=len(events), dead=len(taken.dead))


def compact(events: Iterable[Event]) -> list[Event]:
    """Return the newest event of each document; of two with the same version, the later one."""
    newest: dict[Any, Event] = {}
    for event in events:
        held = newest.get(event.document_id)
        if held is None or event.version >= held.version:
            newest[event.document_id] = event
    return list(newest.values())


def _take(channel: BlockingChannel, limits: DrainLimits) -> _Taken:
    taken = _Taken()
    deadline = time.monotonic() + limits.seconds
    while depth := queue_depth(channel):
        while depth > 0:
            room = min(limits.messages - taken.count, depth, _portion(taken, limits.payload_bytes))
            if room <= 0 or time.monotonic() >= deadline:
                return taken
            before = taken.count
            _consume(channel, room, taken)
            if taken.count == before:
                return taken
            depth -= taken.count - before
    return taken


def _portion(taken: _Taken, payload_bytes: int) -> int:
    """Return how many messages of the usual size fit below the limit: 0 when it is reached."""
    left = payload_bytes - taken.payload_bytes
    if left <= 0:
        return 0
    if taken.count == 0:
        return _FIRST_PREFETCH
    return max(1, min(_PREFETCH, left * taken.count // max(1, taken.payload_bytes)))


def _consume(channel: BlockingChannel, count: int, taken: _Taken) -> None:
    # A consumer's prefetch can not be raised, so each portion has a consumer of its own that never gets more.
    goal = taken.count + count
    channel.basic_qos(prefetch_count=count)
    tag = channel.basic_consume(
        QUEUE, lambda _, method, properties, body: _sort(taken, method, properties, body), auto_ack=False
    )
    idle_since = time.monotonic()
    while taken.count < goal and time.monotonic() - idle_since < _IDLE_SECONDS:
        before = taken.count
        channel.connection.process_data_events(time_limit=_IDLE_SECONDS)
        if taken.count > before:
            idle_since = time.monotonic()
    channel.basic_cancel(tag)


def _sort(taken: _Taken, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
    taken.count += 1
    taken.payload_bytes += len(body)
    taken.last_tag = method.delivery_tag
    try:
        taken.events.append(Event.from_json(body, _schema_version(properties)))
    except MalformedEventError as error:
        taken.dead.append((body, method.routing_key, str(error), properties))


def _schema_version(properties: pika.BasicProperties) -> int:
    version = (properties.headers or {}).get(SCHEMA_VERSION_HEADER, SCHEMA_VERSION)
    if not isinstance(version, int):
        raise MalformedEventError(f"header {SCHEMA_VERSION_HEADER} is {version!r}, not a whole number")
    return version


def _bury(
    channel: BlockingChannel, body: bytes, routing_key: str, reason: str, properties: pika.BasicProperties
) -> None:
    properties.headers = {**(properties.headers or {}), **dead_letter_headers(reason, routing_key)}
    properties.delivery_mode = pika.DeliveryMode.Persistent.value
    channel.basic_publish(DEAD_EXCHANGE, routing_key, body, properties, mandatory=True)
