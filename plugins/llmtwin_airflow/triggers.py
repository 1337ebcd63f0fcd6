"""Waits for events without a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent


class QueueDepthTrigger(BaseTrigger):
    """Fires when events wait in the queue, or when its window is over.

    It ends the task itself, as success or as skipped, so that no worker starts only to say so. It looks at the queue's
    depth by passive declare over one connection, which it opens anew after an error; a broker that is down for the
    whole window means no events, and the run is skipped.

    Args:
        rabbitmq_conn_id: The broker.
        window_seconds: How long to wait.
        poll_seconds: How often to look.
    """

    def __init__(self, rabbitmq_conn_id: str, window_seconds: float, poll_seconds: float) -> None:
        super().__init__()
        self.rabbitmq_conn_id = rabbitmq_conn_id
        self.window_seconds = window_seconds
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return (
            "llmtwin_airflow.triggers.QueueDepthTrigger",
            {
                "rabbitmq_conn_id": self.rabbitmq_conn_id,
                "window_seconds": self.window_seconds,
                "poll_seconds": self.poll_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield success as soon as an event waits, skipped when none came."""
        from airflow.sdk import BaseHook

        from llmtwin_airflow.hooks import amqp_url

        url = amqp_url(await BaseHook.aget_connection(self.rabbitmq_conn_id))
        # pika's blocking connection belongs to one thread and may block it, so it gets a thread that is not the loop's.
        found = await asyncio.to_thread(self._wait, url)
        yield TaskSuccessEvent() if found else TaskSkippedEvent()

    def _wait(self, url: str) -> bool:
        from llmtwin.errors import BrokerError
        from llmtwin.events import connect, queue_depth

        deadline = time.monotonic() + self.window_seconds
        while time.monotonic() < deadline:
            try:
                with connect(url) as channel:
                    while time.monotonic() < deadline:
                        if queue_depth(channel):
                            return True
                        channel.connection.sleep(self.poll_seconds)
            except BrokerError as error:
                self.log.warning("%s", error)
                time.sleep(min(self.poll_seconds * 5, max(0.0, deadline - time.monotonic())))
        return False
