"""Looking at messages that could not be read, and sending them round again once the cause is mended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pika

from llmtwin.events.topology import DEAD_QUEUE, EXCHANGE, REASON_HEADER, ROUTING_KEY_HEADER, queue_depth

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel


@dataclass(frozen=True)
class DeadLetter:
    """One message of the dead-letter queue."""

    number: int
    """Place in the queue, from 1; the oldest comes first."""
    message_id: str | None
    routing_key: str
    reason: str
    body: bytes


def list_dead_letters(channel: BlockingChannel, limit: int | None = None) -> list[DeadLetter]:
    """Return the oldest dead letters and leave them where they are."""
    letters = [letter for _, letter, _ in _held(channel, limit)]
    _give_back(channel, len(letters))
    return letters


def requeue_dead_letters(channel: BlockingChannel, chosen: Callable[[DeadLetter], bool] = lambda _: True) -> int:
    """Publish the chosen dead letters again under their old routing key; return how many.

    A message leaves the dead-letter queue only after the broker has confirmed its new copy.
    """
    moved = kept = 0
    for tag, letter, properties in _held(channel, None):
        if not chosen(letter):
            kept += 1
            continue
        headers = dict(properties.headers or {})
        for name in (REASON_HEADER, ROUTING_KEY_HEADER):
            headers.pop(name, None)
        properties.headers = headers
        properties.delivery_mode = pika.DeliveryMode.Persistent.value
        channel.basic_publish(EXCHANGE, letter.routing_key, letter.body, properties, mandatory=True)
        channel.basic_ack(tag)
        moved += 1
    _give_back(channel, kept)
    return moved


def _give_back(channel: BlockingChannel, count: int) -> None:
    """Return what this channel holds unacknowledged to its place in the queue."""
    channel.basic_recover(requeue=True)
    # A quorum queue takes a few milliseconds to make it ready again; until then the queue would look empty.
    deadline = time.monotonic() + 1.0
    while queue_depth(channel, DEAD_QUEUE) < count and time.monotonic() < deadline:
        channel.connection.sleep(0.005)


def _held(channel: BlockingChannel, limit: int | None) -> Iterator[tuple[int, DeadLetter, pika.BasicProperties]]:
    depth = queue_depth(channel, DEAD_QUEUE)
    for number in range(1, min(depth, limit if limit is not None else depth) + 1):
        method, properties, body = channel.basic_get(DEAD_QUEUE, auto_ack=False)
        if method is None:
            return
        headers = properties.headers or {}
        letter = DeadLetter(
            number=number,
            message_id=properties.message_id,
            routing_key=str(headers.get(ROUTING_KEY_HEADER, method.routing_key)),
            reason=str(headers.get(REASON_HEADER, "rejected by a consumer without a reason")),
            body=body,
        )
        yield method.delivery_tag, letter, properties
