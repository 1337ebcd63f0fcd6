"""How fast changes in MongoDB become confirmed messages in the quorum queue: ``python tests/benchmarks cdc``.

The CDC service, in a process of its own, catches up on a backlog; timed from its first message in the queue to its
last. Beside it bare pika: asynchronous confirms, 1,000 messages in flight, the same messages, the same queue.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pika
from backlog import events_of, short_articles
from installation import installation
from rich.console import Console
from rich.table import Table

from llmtwin import warehouse
from llmtwin.cdc.state import CdcState, save
from llmtwin.documents import RawArticle
from llmtwin.events import EXCHANGE, QUEUE, connect, properties_of, queue_depth
from llmtwin.settings import Settings, settings_environment

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

DOCUMENTS, CHARACTERS, IN_FLIGHT, REPEATS = 20_000, 2_500, 1_000, 3
TARGET = 0.4


def main() -> None:
    """Measure, and print the table."""
    documents = short_articles(DOCUMENTS, CHARACTERS)
    messages = [(event.to_json(), properties_of(event)) for event in events_of(documents)]
    with installation("mongodb", "rabbitmq") as settings, connect(settings.rabbitmq) as channel:
        of_bare, of_service = [], []
        for _ in range(REPEATS):
            of_bare.append(publish_bare(settings, messages))
            empty(channel)
            of_service.append(stream(settings, documents, channel))
            empty(channel)
    bare, service = DOCUMENTS / min(of_bare), DOCUMENTS / min(of_service)
    size = sum(len(body) for body, _ in messages) / DOCUMENTS / 1000
    title = f"{DOCUMENTS:,} documents, {size:.1f} kB a message, best of {REPEATS}"
    table = Table("path", "documents/s", "of bare pika", title=title)
    table.add_row("bare pika, asynchronous confirms", f"{bare:,.0f}", "1")
    table.add_row("MongoDB → CDC service → confirmed", f"{service:,.0f}", f"{service / bare:.2f} (target {TARGET})")
    Console().print(table)


def empty(channel: BlockingChannel) -> None:
    """Check that every message arrived, and throw them away."""
    while queue_depth(channel) < DOCUMENTS:
        time.sleep(0.01)
    channel.queue_purge(QUEUE)
    while queue_depth(channel):
        time.sleep(0.01)


def stream(settings: Settings, documents: list[RawArticle], channel: BlockingChannel) -> float:
    """Return the seconds from the service's first message to its last."""
    with warehouse.connect(settings) as client:
        client.drop_database(settings.mongodb_database)
        database = warehouse.open_database(client, settings)
        warehouse.ensure_schema(database)
        save(database, CdcState(start_time=client.admin.command("ping")["operationTime"]))
        rows = [document.model_dump(by_alias=True) | {"kind": str(document.kind)} for document in documents]
        database["articles"].insert_many(rows, ordered=False)
        command = [sys.executable, "-m", "llmtwin.cli", "cdc"]
        process = subprocess.Popen(command, env=os.environ | settings_environment(settings), stdout=subprocess.DEVNULL)
        try:
            while not queue_depth(channel):
                time.sleep(0.002)
            started = time.perf_counter()
            while queue_depth(channel) < len(documents):
                time.sleep(0.01)
            return time.perf_counter() - started
        finally:
            process.terminate()
            process.wait()


def publish_bare(settings: Settings, messages: list[tuple[bytes, pika.BasicProperties]]) -> float:
    """Return the seconds from the first message to the last confirm."""
    times: dict[str, float] = {}
    sent = confirmed = 0

    def send(channel: Any) -> None:
        nonlocal sent
        while sent < len(messages) and sent - confirmed < IN_FLIGHT:
            channel.basic_publish(EXCHANGE, "article.create", *messages[sent], mandatory=True)
            sent += 1

    def on_channel(channel: Any) -> None:
        def on_confirm(frame: Any) -> None:
            nonlocal confirmed
            confirmed = frame.method.delivery_tag if frame.method.multiple else confirmed + 1
            if confirmed == len(messages):
                times["end"] = time.perf_counter()
                connection.close()
            else:
                send(channel)

        def on_ready(_: Any) -> None:
            times["start"] = time.perf_counter()
            send(channel)

        channel.confirm_delivery(on_confirm, callback=on_ready)

    connection = pika.SelectConnection(
        pika.URLParameters(settings.rabbitmq),
        on_open_callback=lambda connection: connection.channel(on_open_callback=on_channel),
        on_close_callback=lambda connection, _: connection.ioloop.stop(),
    )
    connection.ioloop.start()
    return times["end"] - times["start"]


if __name__ == "__main__":
    main()
