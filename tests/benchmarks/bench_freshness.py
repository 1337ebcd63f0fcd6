"""Seconds from a write in MongoDB to a searchable point, on an idle queue: ``python tests/benchmarks freshness``.

The whole local stack with Airflow, on free ports; once with the minute schedule and once with ``@continuous``. Takes
some fifteen minutes, most of them pauses of random length, so that writes fall on any moment of a minute.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from backlog import short_articles
from installation import HOME
from rich.console import Console
from rich.table import Table

from llmtwin import vectors, warehouse
from llmtwin.documents import Kind, RawArticle, chunk_id
from llmtwin.local.ports import free_port
from llmtwin.local.stack import LocalStack
from llmtwin.settings import Settings

CHARACTERS = 2_500
# How many writes, and the shortest and the longest pause before each, in seconds. A run of the minute schedule ends
# when its batch is done; only a minute later another one waits for sure, which is what an idle queue is.
SCHEDULES = {"* * * * *": (6, 60.0, 110.0), "@continuous": (12, 5.0, 15.0)}
GIVE_UP_SECONDS = 240


def main() -> None:
    """Measure, and print the table."""
    table = Table("schedule", "writes", "p50, s", "p95, s", "slowest, s", title="From MongoDB to searchable")
    for schedule, (writes, *pauses) in SCHEDULES.items():
        with stack(schedule) as settings:
            seconds = freshness(settings, writes, *pauses)
        cuts = quantiles(seconds, n=20, method="inclusive")
        table.add_row(schedule, str(len(seconds)), *(f"{value:.1f}" for value in (cuts[9], cuts[18], max(seconds))))
    Console().print(table)


@contextmanager
def stack(schedule: str) -> Iterator[Settings]:
    """Run a local stack of its own inside the block."""
    with tempfile.TemporaryDirectory(prefix="llmtwin-bench-") as folder:
        data = Path(folder)
        (data / "bin").symlink_to(HOME / ".local" / "bin")
        names = ("mongodb_port", "rabbitmq_port", "rabbitmq_dist_port", "epmd_port", "qdrant_port", "airflow_port")
        settings = Settings(
            home=HOME,
            data_dir=data,
            models_dir=HOME / ".local" / "models",
            mongodb_url=None,
            rabbitmq_url=None,
            qdrant_url=None,
            sync_schedule=schedule,
            **{name: free_port() for name in names},  # type: ignore[arg-type]
        )
        local = LocalStack(settings)
        try:
            local.up()
            yield settings
        finally:
            local.down()


def freshness(settings: Settings, writes: int, shortest: float, longest: float) -> list[float]:
    """Write one article after another, each into an idle pipeline; return how long each took to be searchable."""
    chance = random.Random(0)
    first, *rest = short_articles(writes + 1, CHARACTERS)
    seconds_until_searchable(settings, first)  # Airflow parses its DAGs, collections are made
    seconds = []
    for document in rest:
        time.sleep(chance.uniform(shortest, longest))
        seconds.append(seconds_until_searchable(settings, document))
        print(f"{settings.sync_schedule}: {seconds[-1]:.1f} s", flush=True)
    return seconds


def seconds_until_searchable(settings: Settings, document: RawArticle) -> float:
    """Insert an article and wait for its first chunk."""
    alias, point = vectors.embedded_alias(Kind.ARTICLE), str(chunk_id(document.id, 0))
    with warehouse.connect(settings) as client, vectors.connect(settings) as qdrant:
        collection = warehouse.open_database(client, settings)[document.collection]
        collection.insert_one(document.model_dump(by_alias=True) | {"kind": str(document.kind)})
        started = time.perf_counter()
        while not (qdrant.collection_exists(alias) and qdrant.retrieve(alias, [point])):
            if time.perf_counter() - started > GIVE_UP_SECONDS:
                raise TimeoutError(f"not searchable after {GIVE_UP_SECONDS} s; see `llmtwin logs`")
            time.sleep(0.1)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
