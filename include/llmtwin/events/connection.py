"""Connections to RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pika
import pika.exceptions

from llmtwin.errors import BrokerError, SettingsError
from llmtwin.events.topology import declare_topology
from llmtwin.settings import redacted

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel


def parameters(url: str) -> pika.URLParameters:
    """Return pika's parameters for an AMQP URL, with a name that the broker's tools show.

    Raises:
        SettingsError: It is no AMQP URL.
    """
    try:
        result = pika.URLParameters(url)
    except (ValueError, TypeError):
        # What the parser says may quote a part of the password, so it is left out.
        raise SettingsError(
            f"not an AMQP URL: {redacted(url)}; set RABBITMQ_URL like amqp://user:password@host:5672/%2F, "
            "with / ? # @ : and % in a password percent-encoded"
        ) from None
    result.client_properties = {"connection_name": "llmtwin"}
    result.blocked_connection_timeout = 60
    return result


@contextmanager
def connect(url: str) -> Iterator[BlockingChannel]:
    """Open a channel on which the topology is declared and publishes are confirmed; closed at the end.

    Raises:
        SettingsError: It is no AMQP URL.
        BrokerError: The broker is down or refused the login, or the connection was lost inside the block.
    """
    try:
        connection = pika.BlockingConnection(parameters(url))
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerError(
            f"RabbitMQ does not answer at {redacted(url)}: {error!r}. "
            "Start it with `llmtwin up`, or set RABBITMQ_URL to a broker that runs."
        ) from error
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        declare_topology(channel)
        yield channel
    except pika.exceptions.AMQPError as error:
        raise BrokerError(f"RabbitMQ at {redacted(url)} broke off: {error!r}") from error
    finally:
        if connection.is_open:
            connection.close()
