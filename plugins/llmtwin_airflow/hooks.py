"""A hook for RabbitMQ over pika."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseHook

from llmtwin.errors import LlmtwinError

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from pika.adapters.blocking_connection import BlockingChannel


class RabbitMQHook(BaseHook):
    """Opens channels to the broker of an Airflow connection of type ``rabbitmq``.

    Args:
        rabbitmq_conn_id: The connection: host, port, login, password, and the virtual host as its schema.
    """

    conn_name_attr = "rabbitmq_conn_id"
    default_conn_name = "rabbitmq_default"
    conn_type = "rabbitmq"
    hook_name = "RabbitMQ"

    def __init__(self, rabbitmq_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rabbitmq_conn_id = rabbitmq_conn_id

    @property
    def url(self) -> str:
        """The AMQP URL of the connection."""
        return amqp_url(self.get_connection(self.rabbitmq_conn_id))

    def get_conn(self) -> AbstractContextManager[BlockingChannel]:
        """Return a context manager that opens a channel, with the topology declared and confirms on.

        Raises:
            BrokerError: On entering, when the broker is down or refuses the login.
        """
        from llmtwin.events import connect

        return connect(self.url)

    def queue_depth(self) -> int:
        """Return how many events wait in the queue; consumes nothing."""
        from llmtwin.events import queue_depth

        with self.get_conn() as channel:
            return queue_depth(channel)

    def test_connection(self) -> tuple[bool, str]:
        """Answer the UI's test button: whether the broker answers, and how many events wait."""
        try:
            return True, f"connected; {self.queue_depth()} events wait in the queue"
        except LlmtwinError as error:
            return False, str(error)


def amqp_url(connection: Connection) -> str:
    """Return the AMQP URL of an Airflow connection."""
    login = quote(connection.login or "guest", safe="")
    password = quote(connection.password or "guest", safe="")
    virtual_host = quote(connection.schema or "/", safe="")
    scheme = "amqps" if connection.extra_dejson.get("ssl") else "amqp"
    return f"{scheme}://{login}:{password}@{connection.host or '127.0.0.1'}:{connection.port or 5672}/{virtual_host}"
