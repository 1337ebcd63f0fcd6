"""How fast the queue becomes durable Parquet, and what a backlog costs in memory: ``python tests/benchmarks drain``.

The drain in batches as the DAG makes them, next to a bare consume loop over the same messages. Then a backlog of
10,000 documents through drain → clean → chunk → embed in a process of its own, for its peak memory.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backlog import events_of, fill_queue, short_articles
from corpus import load_articles, raw_article
from installation import installation
from rich.console import Console
from rich.table import Table

from llmtwin import staging, sync
from llmtwin.events import QUEUE, DrainLimits, connect, drain, queue_depth
from llmtwin.settings import Settings, get_settings, settings_environment

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

DOCUMENTS, CHARACTERS, PREFETCH, REPEATS = 10_000, 2_500, 1_000, 3
# The backlog for the peak of memory: real articles in their real lengths, and the rest short.
LONG, SHORT_CHARACTERS = 300, 150
TARGET = 0.2


def main() -> None:
    """Measure, and print the tables."""
    with installation("rabbitmq", "qdrant") as settings:
        Console().print(drain_table(settings), memory_table(settings))


def drain_table(settings: Settings) -> Table:
    """Compare the drain with a bare consume loop."""
    events = events_of(short_articles(DOCUMENTS, CHARACTERS))
    runs: dict[str, list[float]] = {"consume": [], "drain": []}
    for _ in range(REPEATS):
        for name, work in (("consume", consume_bare), ("drain", drain_to_parquet)):
            fill_queue(settings, events)
            with connect(settings.rabbitmq) as channel:
                while queue_depth(channel) < DOCUMENTS:
                    time.sleep(0.01)
                started = time.perf_counter()
                work(channel, settings)
                runs[name].append(time.perf_counter() - started)
                assert queue_depth(channel) == 0
    bare, drained = (DOCUMENTS / min(seconds) for seconds in runs.values())
    size = sum(len(event.to_json()) for event in events) / DOCUMENTS / 1000
    table = Table("path", "messages/s", "of bare", title=f"{DOCUMENTS:,} messages of {size:.1f} kB, best of {REPEATS}")
    table.add_row(f"bare consume, prefetch {PREFETCH:,}", f"{bare:,.0f}", "1")
    table.add_row("drain to durable Parquet", f"{drained:,.0f}", f"{drained / bare:.2f} (target {TARGET})")
    return table


def consume_bare(channel: BlockingChannel, _: Settings) -> None:
    """Consume and acknowledge all, and do nothing with it."""
    channel.basic_qos(prefetch_count=PREFETCH)
    for taken, (method, _properties, _body) in enumerate(channel.consume(QUEUE), 1):
        if taken % (PREFETCH // 2) == 0 or taken == DOCUMENTS:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if taken == DOCUMENTS:
            break
    channel.cancel()


def drain_to_parquet(channel: BlockingChannel, settings: Settings) -> None:
    """Drain in batches of the default size until the queue is empty."""
    limits = DrainLimits(settings.drain_max_messages, settings.drain_max_bytes, settings.drain_max_seconds)

    def stage(events: Any) -> None:
        staging.create_batch(settings.batches, sync.event_table(events)).complete()

    while drain(channel, limits, stage).messages:
        pass


def memory_table(settings: Settings) -> Table:
    """Work off a backlog in another process, and say what it took."""
    documents = [raw_article(article) for article in load_articles(LONG)]
    documents += short_articles(DOCUMENTS - LONG, SHORT_CHARACTERS)
    random.Random(0).shuffle(documents)
    fill_queue(settings, events_of(documents))
    started = time.perf_counter()
    subprocess.run([sys.executable, __file__, "work-off"], env=os.environ | settings_environment(settings), check=True)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1_000_000
    batches = staging.batches(settings.batches)
    chunks = sum(batch.read(sync.EMBED).num_rows for batch in batches if batch.has(sync.EMBED))
    title = f"A backlog of {DOCUMENTS:,} documents, {LONG} of them long, through drain, clean, chunk and embed"
    table = Table("chunks", "seconds", "peak memory, GB", title=title)
    table.add_row(f"{chunks:,}", f"{seconds:.0f}", f"{peak:.2f} (target < 2)")
    return table


def work_off() -> None:
    """Run micro-batches until the queue is empty."""
    settings = get_settings()
    while sync.drain(settings).messages:
        for batch in staging.pending_batches(settings.batches):
            sync.run_batch(batch.id, settings)


if __name__ == "__main__":
    work_off() if Path(sys.argv[-1]).name == "work-off" else main()
