"""The RabbitMQ hook and its connection type."""

from __future__ import annotations

import json

import pytest
from tests.documents import article, event

from llmtwin.events import QUEUE, Publisher, connect
from llmtwin.settings import Settings

pytestmark = pytest.mark.stack


def test_the_test_button_says_how_many_events_wait(airflow_settings: Settings) -> None:
    from llmtwin_airflow.hooks import RabbitMQHook

    with connect(airflow_settings.rabbitmq) as channel:
        channel.queue_purge(QUEUE)
    with Publisher[int](airflow_settings.rabbitmq) as publisher:
        publisher.publish(event(article(1)), 0)
        publisher.flush()
    assert RabbitMQHook().test_connection() == (True, "connected; 1 events wait in the queue")


def test_the_test_button_says_why_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    from llmtwin_airflow.hooks import RabbitMQHook

    secret = {"conn_type": "rabbitmq", "host": "127.0.0.1", "port": 1, "login": "me", "password": "p@ss/word"}
    monkeypatch.setenv("AIRFLOW_CONN_RABBITMQ_DEFAULT", json.dumps(secret))
    ok, message = RabbitMQHook().test_connection()
    assert not ok
    assert "does not answer at amqp://127.0.0.1:1" in message
    assert "p@ss" not in message


def test_the_url_carries_every_part_of_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    from llmtwin_airflow.hooks import RabbitMQHook

    parts = {
        "conn_type": "rabbitmq",
        "host": "mq.example.org",
        "port": 5671,
        "login": "me",
        "password": "p@ss/word",
        "schema": "twin/1",
        "extra": {"ssl": True},
    }
    monkeypatch.setenv("AIRFLOW_CONN_RABBITMQ_DEFAULT", json.dumps(parts))
    assert RabbitMQHook().url == "amqps://me:p%40ss%2Fword@mq.example.org:5671/twin%2F1"


def test_airflow_knows_the_connection_type() -> None:
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    hook = ProvidersManagerTaskRuntime().hooks["rabbitmq"]
    assert hook is not None
    assert hook.hook_class_name == "llmtwin_airflow.hooks.RabbitMQHook"
