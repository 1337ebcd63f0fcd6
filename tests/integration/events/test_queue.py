"""The queue on a real RabbitMQ: publish, drain, dead letters."""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pika
import pytest
from tests.documents import article, event

from llmtwin.documents import Event, Operation
from llmtwin.errors import BrokerError, SettingsError
from llmtwin.events import (
    EXCHANGE,
    QUEUE,
    DrainLimits,
    Publisher,
    connect,
    drain,
    list_dead_letters,
    queue_depth,
    requeue_dead_letters,
)
from llmtwin.events.connection import parameters
from llmtwin.events.publisher import LARGEST_BODY
from llmtwin.events.topology import DEAD_EXCHANGE, SCHEMA_VERSION_HEADER

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

pytestmark = pytest.mark.stack


def publish(url: str, events: Sequence[Event]) -> None:
    with Publisher[int](url) as publisher:
        for number, item in enumerate(events):
            publisher.publish(item, number)
        publisher.flush()
        assert publisher.confirmed == len(events) - 1


def collect(channel: BlockingChannel, **limits: float) -> tuple[list[Event], int]:
    taken: list[Event] = []
    result = drain(channel, DrainLimits(**limits), taken.extend)  # type: ignore[arg-type]
    return taken, result.dead


def test_what_is_published_is_drained_in_full(channel: BlockingChannel, rabbitmq_url: str) -> None:
    events = [event(article(number), version=number) for number in range(1500)]
    publish(rabbitmq_url, events)
    taken, dead = collect(channel)
    assert taken == events
    assert dead == 0
    assert queue_depth(channel) == 0


def test_drain_keeps_the_newest_version_of_each_document(channel: BlockingChannel, rabbitmq_url: str) -> None:
    publish(
        rabbitmq_url,
        [
            event(article(1, "newest"), version=3),
            event(article(1, "older"), version=2),
            event(article(2), version=5, op=Operation.DELETE),
            event(article(2), version=4),
        ],
    )
    taken, _ = collect(channel)
    assert [(item.version, item.op) for item in taken] == [(3, "create"), (5, "delete")]


def test_drain_stops_at_its_limits_and_leaves_the_rest(channel: BlockingChannel, rabbitmq_url: str) -> None:
    publish(rabbitmq_url, [event(article(number, "x" * 10_000)) for number in range(700)])
    taken, _ = collect(channel, messages=250)
    assert len(taken) == 250
    assert queue_depth(channel) == 450
    taken, _ = collect(channel, payload_bytes=1_000_000)
    # Each is a little larger than its text; the last one may cross the limit.
    assert 90 < len(taken) <= 100
    rest, _ = collect(channel)
    assert len(taken) + len(rest) == 450


def test_nothing_is_acknowledged_when_writing_fails(channel: BlockingChannel, rabbitmq_url: str) -> None:
    publish(rabbitmq_url, [event(article(number)) for number in range(10)])

    def full_disk(_: Sequence[Event]) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"), connect(rabbitmq_url) as other:
        drain(other, DrainLimits(), full_disk)
    for _ in range(500):  # the broker takes a moment to make them ready again
        if queue_depth(channel) == 10:
            break
        channel.connection.sleep(0.01)
    taken, _ = collect(channel)
    assert len(taken) == 10


def send_raw(channel: BlockingChannel, body: bytes, key: str = "article.create", **headers: object) -> None:
    channel.basic_publish(EXCHANGE, key, body, pika.BasicProperties(message_id="m", headers=headers), mandatory=True)


def test_unreadable_messages_are_dead_lettered_with_reasons_and_stop_nothing(channel: BlockingChannel) -> None:
    good = event(article(1))
    send_raw(channel, b"\xff\xfe not json")
    send_raw(channel, b'{"kind": "article"}')
    send_raw(channel, good.to_json().replace(b'"kind":"article"', b'"kind":"novel"'), key="novel.create")
    send_raw(channel, good.to_json(), **{SCHEMA_VERSION_HEADER: 2})
    send_raw(channel, good.to_json(), **{SCHEMA_VERSION_HEADER: "one"})
    send_raw(channel, b"[]")
    send_raw(channel, b"")
    send_raw(channel, good.to_json())
    taken, dead = collect(channel)
    assert taken == [good]
    assert dead == 7
    letters = list_dead_letters(channel)
    reasons = [letter.reason for letter in letters]
    assert "not JSON" in reasons[0]
    assert "document_id: Field required" in reasons[1]
    assert "kind: Input should be" in reasons[2]
    assert "schema version 2 is newer" in reasons[3]
    assert "not a whole number" in reasons[4]
    assert [letter.number for letter in letters] == list(range(1, 8))
    assert letters[2].routing_key == "novel.create"
    # Looking changes nothing.
    assert [letter.reason for letter in list_dead_letters(channel)] == reasons


def test_endless_reasons_and_endless_depth_are_a_dead_letter_each_and_block_nothing(
    channel: BlockingChannel,
) -> None:
    good = event(article(1))
    surplus = {f"field {number}": 1 for number in range(5000)}
    send_raw(channel, orjson.dumps(orjson.loads(good.to_json()) | surplus))
    send_raw(channel, good.to_json().replace(b'"document":{', b'"document":{"a":' + b"[" * 300 + b"]" * 300 + b","))
    send_raw(channel, good.to_json())
    assert collect(channel) == ([good], 2)
    [endless, deep] = list_dead_letters(channel)
    assert endless.reason.startswith("breaks the event contract: field 0")
    assert endless.reason.endswith("characters)")
    assert "nested too deeply" in deep.reason


def test_an_event_no_message_can_hold_is_dead_lettered_by_name(channel: BlockingChannel, rabbitmq_url: str) -> None:
    giant = event(article(1, "x" * LARGEST_BODY))
    publish(rabbitmq_url, [giant, event(article(2))])
    assert [taken.document_id for taken in collect(channel)[0]] == [article(2).id]
    [letter] = list_dead_letters(channel)
    assert f"article {article(1).id} takes 16,7" in letter.reason
    assert orjson.loads(letter.body) | {"document": None} == orjson.loads(letter.body)


def test_requeued_letters_come_again_without_the_old_reason(channel: BlockingChannel) -> None:
    good = event(article(1))
    send_raw(channel, good.to_json(), **{SCHEMA_VERSION_HEADER: 2})
    send_raw(channel, b"rubbish")
    collect(channel)
    assert requeue_dead_letters(channel, lambda letter: "newer" in letter.reason) == 1
    assert [letter.body for letter in list_dead_letters(channel)] == [b"rubbish"]
    assert queue_depth(channel) == 1
    assert requeue_dead_letters(channel) == 1
    _, dead = collect(channel)
    assert dead == 2


def test_a_broker_that_is_down_is_named_without_its_password() -> None:
    with pytest.raises(BrokerError, match="llmtwin up") as caught, connect("amqp://me:secret@127.0.0.1:1/%2F"):
        pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("password", ["sec#ret", "sec/ret", "sec?ret"])
def test_a_password_that_breaks_the_url_is_not_told(password: str) -> None:
    with pytest.raises(SettingsError, match="not an AMQP URL: amqp://host; set") as caught:
        parameters(f"amqp://me:{password}@host")
    assert caught.value.__suppress_context__
    assert "sec" not in str(caught.value)


def test_a_publisher_leaves_no_socket_and_no_thread_behind(channel: BlockingChannel, rabbitmq_url: str) -> None:
    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    gc.disable()  # it would close what was left open
    try:
        before = held()
        publish(rabbitmq_url, [event(article(1))])
        with Publisher[int](rabbitmq_url) as publisher:
            channel.exchange_delete(DEAD_EXCHANGE)  # so the broker closes the publisher's channel
            publisher.publish_dead(b"", "article.create", "no reason", 0)
            with pytest.raises(BrokerError, match=r"closed the channel.*NOT_FOUND"):
                publisher.flush()
        assert held() == before
    finally:
        gc.enable()


def test_a_publisher_reports_a_message_nobody_would_get(channel: BlockingChannel, rabbitmq_url: str) -> None:
    with Publisher[int](rabbitmq_url) as publisher:
        channel.queue_unbind(QUEUE, EXCHANGE, routing_key="#")
        publisher.publish(event(article(1)), 0)
        with pytest.raises(BrokerError, match="has no queue for"):
            publisher.flush()
