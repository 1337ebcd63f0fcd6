"""Fixtures for tests on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from llmtwin.events import DEAD_QUEUE, QUEUE, connect

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel


@pytest.fixture
def channel(rabbitmq_url: str) -> Iterator[BlockingChannel]:
    """An open channel; the queue and the dead letters are empty."""
    with connect(rabbitmq_url) as channel:
        channel.queue_purge(QUEUE)
        channel.queue_purge(DEAD_QUEUE)
        yield channel
