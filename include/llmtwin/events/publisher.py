"""Publishing with asynchronous publisher confirms: many messages under way, order kept, nothing forgotten.

Waiting for one confirm at a time is fifteen times slower on a quorum queue, because each waits for the disk.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import pika
import pika.exceptions

from llmtwin.documents import CONTENT_TYPE, SCHEMA_VERSION, Event
from llmtwin.errors import BrokerError
from llmtwin.events.connection import connect, parameters
from llmtwin.events.topology import DEAD_EXCHANGE, EXCHANGE, SCHEMA_VERSION_HEADER, dead_letter_headers
from llmtwin.settings import redacted

Marker = TypeVar("Marker")

# RabbitMQ 4 closes the channel on a larger message, and would again each time it is published.
LARGEST_BODY = 16 * 1024 * 1024


def properties_of(event: Event) -> pika.BasicProperties:
    """Return what accompanies an event's body: durable, named by its event id, with the version of its schema."""
    return pika.BasicProperties(
        content_type=CONTENT_TYPE,
        delivery_mode=pika.DeliveryMode.Persistent,
        message_id=str(event.event_id),
        headers={SCHEMA_VERSION_HEADER: SCHEMA_VERSION},
    )


@dataclass(frozen=True)
class _Outgoing(Generic[Marker]):
    exchange: str
    routing_key: str
    body: bytes
    properties: pika.BasicProperties
    marker: Marker


class Publisher(Generic[Marker]):
    """Publishes from one thread while pika's I/O loop runs in another.

    Each message carries a marker (for the CDC service its resume token). ``confirmed`` is the marker of the newest
    message such that it and all before it are safe with the broker.

    Failure windows: after an error the broker may hold messages whose confirm never came, so whoever publishes again
    from the last confirmed marker publishes some of them twice. Readers are idempotent by version.

    Args:
        url: AMQP URL.
        window: How many messages may be unconfirmed; ``submit`` waits when there are that many.
    """

    def __init__(self, url: str, window: int = 2000) -> None:
        self._url = url
        self._window = window
        self._state = threading.Condition()
        self._outbox: deque[_Outgoing[Marker]] = deque()
        self._in_flight: deque[tuple[int, Marker]] = deque()
        self._confirmed_tags: set[int] = set()
        self._confirmed_up_to = 0
        self._confirmed: Marker | None = None
        self._failure: BrokerError | None = None
        self._ready = False
        self._closing = False
        self._pump_scheduled = False
        self._next_tag = 1
        self._channel: Any = None
        self._connection: Any = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def __enter__(self) -> Self:
        with connect(self._url):
            pass  # declares the topology, and fails at once with a clear error when the broker is down
        self._connection = pika.SelectConnection(
            parameters(self._url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel),
            on_open_error_callback=lambda _, error: self._on_connection_closed(error),
            on_close_callback=lambda _, reason: self._on_connection_closed(reason),
        )
        self._thread.start()
        with self._state:
            if not self._state.wait_for(lambda: self._ready or self._failure, timeout=30):
                self._failure = BrokerError(f"RabbitMQ at {redacted(self._url)} did not open a channel within 30 s")
        if self._failure:
            self.__exit__(None, None, None)
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._connection.ioloop.add_callback_threadsafe(self._close)
        self._thread.join(timeout=10)
        if not self._thread.is_alive():
            self._connection.ioloop.close()

    def publish(self, event: Event, marker: Marker) -> None:
        """Hand an event over; returns before it is confirmed.

        One that no message can hold goes to the dead-letter queue without its document.

        Raises:
            BrokerError: An earlier message was refused, returned or cut off.
        """
        body = event.to_json()
        if len(body) <= LARGEST_BODY:
            self._submit(_Outgoing(EXCHANGE, event.routing_key, body, properties_of(event), marker))
            return
        reason = (
            f"{event.kind} {event.document_id} takes {len(body):,} bytes as an event, and RabbitMQ carries at most "
            f"{LARGEST_BODY:,}: split or shorten the document"
        )
        self.publish_dead(event.model_copy(update={"document": None}).to_json(), event.routing_key, reason, marker)

    def publish_dead(self, body: bytes, routing_key: str, reason: str, marker: Marker) -> None:
        """Hand over a message that cannot be an event straight to the dead-letter queue, with its reason."""
        properties = pika.BasicProperties(
            content_type=CONTENT_TYPE,
            delivery_mode=pika.DeliveryMode.Persistent,
            headers=dead_letter_headers(reason, routing_key),
        )
        self._submit(_Outgoing(DEAD_EXCHANGE, routing_key, body, properties, marker))

    @property
    def confirmed(self) -> Marker | None:
        """Marker up to which everything is confirmed; None before the first confirm.

        Raises:
            BrokerError: A message was refused, returned or cut off.
        """
        with self._state:
            if self._failure:
                raise self._failure
            return self._confirmed

    def flush(self, timeout_seconds: float = 60.0) -> None:
        """Wait until every message handed over is confirmed.

        Raises:
            BrokerError: A message was refused, returned or cut off, or the broker did not confirm in time.
        """
        with self._state:
            settled = self._state.wait_for(
                lambda: self._failure or not (self._outbox or self._in_flight), timeout=timeout_seconds
            )
            if self._failure:
                raise self._failure
            if not settled:
                raise BrokerError(
                    f"RabbitMQ at {redacted(self._url)} left {len(self._in_flight)} messages unconfirmed for "
                    f"{timeout_seconds:g} s; look for a memory or disk alarm in its log"
                )

    # The caller's thread

    def _submit(self, message: _Outgoing[Marker]) -> None:
        with self._state:
            self._state.wait_for(lambda: self._failure or len(self._outbox) + len(self._in_flight) < self._window)
            if self._failure:
                raise self._failure
            self._outbox.append(message)
            if self._pump_scheduled:
                return
            self._pump_scheduled = True
        self._connection.ioloop.add_callback_threadsafe(self._pump)

    # The I/O loop's thread

    def _run(self) -> None:
        try:
            self._connection.ioloop.start()
        except (pika.exceptions.AMQPError, OSError) as error:
            self._fail(f"broke off: {error!r}")

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_return_callback(
            lambda _, method, *__: self._fail(f"has no queue for {method.exchange}/{method.routing_key}")
        )
        channel.add_on_close_callback(lambda _, reason: self._on_channel_closed(reason))
        channel.confirm_delivery(self._on_confirm, callback=self._on_ready)

    def _on_ready(self, _: Any) -> None:
        with self._state:
            self._ready = True
            self._state.notify_all()

    def _pump(self) -> None:
        while True:
            with self._state:
                if self._failure or not self._outbox:
                    self._pump_scheduled = False
                    return
                messages = list(self._outbox)
                self._outbox.clear()
                for message in messages:
                    self._in_flight.append((self._next_tag, message.marker))
                    self._next_tag += 1
            for message in messages:
                self._channel.basic_publish(
                    message.exchange, message.routing_key, message.body, message.properties, mandatory=True
                )

    def _on_confirm(self, frame: Any) -> None:
        if isinstance(frame.method, pika.spec.Basic.Nack):
            self._fail("refused a message (basic.nack); look for a queue limit or an alarm in its log")
            return
        with self._state:
            tag = frame.method.delivery_tag
            if frame.method.multiple:
                self._confirmed_up_to = max(self._confirmed_up_to, tag)
            else:
                self._confirmed_tags.add(tag)
            while self._in_flight and self._is_confirmed(self._in_flight[0][0]):
                head, self._confirmed = self._in_flight.popleft()
                self._confirmed_tags.discard(head)
            # Waking the other thread for every confirm would have both take turns message by message.
            if len(self._in_flight) + len(self._outbox) <= self._window // 2:
                self._state.notify_all()

    def _is_confirmed(self, tag: int) -> bool:
        return tag <= self._confirmed_up_to or tag in self._confirmed_tags

    def _on_channel_closed(self, reason: Exception) -> None:
        if not self._closing:
            self._fail(f"closed the channel: {reason!r}")
        if self._connection.is_open:
            self._connection.close()

    def _on_connection_closed(self, reason: Exception) -> None:
        if not self._closing:
            self._fail(f"closed the connection: {reason!r}")
        # Only now: a loop that stops earlier leaves the socket open.
        self._connection.ioloop.stop()

    def _close(self) -> None:
        if self._connection.is_closed:
            self._connection.ioloop.stop()
        elif not self._connection.is_closing:
            self._connection.close()

    def _fail(self, what: str) -> None:
        with self._state:
            self._failure = self._failure or BrokerError(f"RabbitMQ at {redacted(self._url)} {what}")
            self._state.notify_all()
