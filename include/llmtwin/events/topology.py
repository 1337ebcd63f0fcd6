"""Exchanges and queues. Whoever connects first declares them; every later declaration changes nothing.

::

    llmtwin.cdc (topic) ──#──▶ llmtwin.features (quorum) ──drain──▶ batches
                                      │ unreadable, with its reason in a header
    llmtwin.cdc.dead (fanout) ◀───────┘
            └────────────────▶ llmtwin.features.dead (quorum)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pika.exceptions

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

EXCHANGE = "llmtwin.cdc"
QUEUE = "llmtwin.features"
DEAD_EXCHANGE = "llmtwin.cdc.dead"
DEAD_QUEUE = "llmtwin.features.dead"

REASON_HEADER = "x-llmtwin-reason"
SCHEMA_VERSION_HEADER = "x-llmtwin-schema-version"
ROUTING_KEY_HEADER = "x-llmtwin-routing-key"
# All headers of a message share one frame, 128 KiB by default; the broker cuts the connection of who exceeds it.
_LONGEST_REASON = 2_000

# RabbitMQ 4 drops a quorum queue's message after 20 deliveries unless told otherwise. Looking at dead letters and a
# crash in the middle of a drain are deliveries too, and neither may cost a message.
_QUEUE_ARGUMENTS = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}


def declare_topology(channel: BlockingChannel) -> None:
    """Declare both exchanges, both queues and their bindings."""
    channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
    channel.exchange_declare(DEAD_EXCHANGE, exchange_type="fanout", durable=True)
    channel.queue_declare(QUEUE, durable=True, arguments={**_QUEUE_ARGUMENTS, "x-dead-letter-exchange": DEAD_EXCHANGE})
    channel.queue_declare(DEAD_QUEUE, durable=True, arguments=_QUEUE_ARGUMENTS)
    # All keys, also those of kinds this version does not know: they must reach the drain to get a reason.
    channel.queue_bind(QUEUE, EXCHANGE, routing_key="#")
    channel.queue_bind(DEAD_QUEUE, DEAD_EXCHANGE)


def dead_letter_headers(reason: str, routing_key: str) -> dict[str, str]:
    """Return the headers that say why a message is dead and where it belongs once it is mended."""
    shown = reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]} … ({len(reason):,} characters)"
    return {REASON_HEADER: shown, ROUTING_KEY_HEADER: routing_key}


def queue_depth(channel: BlockingChannel, queue: str = QUEUE) -> int:
    """Return how many messages are ready in the queue, by passive declare; consumes nothing. 0 if it is not there."""
    try:
        return int(channel.queue_declare(queue, passive=True).method.message_count)
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code == 404:
            return 0
        raise
