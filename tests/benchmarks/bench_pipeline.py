"""How fast a backlog of articles becomes searchable: ``python tests/benchmarks pipeline``.

The whole feature pipeline, drain to published points, next to embedding alone and to the loops of the llm-twin-course,
all on exactly the same chunks and in one run.
"""

from __future__ import annotations

import os
import time

from backlog import events_of, fill_queue
from bench_embedding import bare_loop, chunks_per_second, model_for_every_chunk, one_at_a_time
from corpus import ARTICLES, load_articles, raw_article
from installation import installation
from rich.console import Console
from rich.table import Table

from llmtwin import staging, sync, vectors
from llmtwin.documents import Kind
from llmtwin.features import embedder_for
from llmtwin.features.embedding import open_model
from llmtwin.settings import Settings

REPEATS = 2
SOME, FEW = 60, 10  # chunks for the loops that take them one at a time, spread evenly over all


def main() -> None:
    """Measure, and print the table."""
    # Fair to PyTorch on a busy machine: its waiting threads give up their core instead of spinning on it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with installation("rabbitmq", "qdrant") as installed:
        settings = installed.model_copy(
            update={"models_dir": None}
        )  # the bare loop finds its model there, and no other
        embedder = embedder_for(Kind.ARTICLE, settings)
        embedder.embed(["load the model before the clock starts"])
        runs = [run_pipeline(settings) for _ in range(REPEATS)]
        steps = min(runs, key=lambda run: sum(run.values()))
        batch = staging.batches(settings.batches)[-1]
        texts = batch.read(sync.CHUNK)["content"].to_pylist()
        model = open_model(settings.text_model, settings.home)
        some, few = texts[:: len(texts) // SOME], texts[:: len(texts) // FEW]
        rates = {
            "whole pipeline": len(texts) / sum(steps.values()),
            "embedder alone": chunks_per_second(lambda: embedder.embed(texts), len(texts), REPEATS),
            "bare OpenVINO, tokens made before, no pooling": chunks_per_second(
                bare_loop(settings, model, texts), len(texts), REPEATS
            ),
            "course: torch fp32, one at a time": chunks_per_second(one_at_a_time(model, some), len(some), REPEATS),
            "course as written: model loaded per chunk": chunks_per_second(
                model_for_every_chunk(model, few), len(few), 1
            ),
        }
    targets = ["", "≥ 0.7", "", "≥ 2.5", "≥ 8"]
    documents = f"{'real' if ARTICLES.exists() else 'generated'} articles"
    table = Table("path", "chunks/s", "pipeline is", "target", title=f"{len(texts):,} chunks of {documents}")
    for (name, rate), target in zip(rates.items(), targets, strict=True):
        table.add_row(name, f"{rate:,.1f}", f"{rates['whole pipeline'] / rate:.2f}x", target)
    parts = Table(*steps, title="Seconds of each step, publishing included")
    parts.add_row(*(f"{seconds:.2f}" for seconds in steps.values()))
    Console().print(table, parts)


def run_pipeline(settings: Settings) -> dict[str, float]:
    """Work off a queue of all articles into an empty Qdrant; return the seconds of each step."""
    with vectors.connect(settings) as client:
        for collection in client.get_collections().collections:
            client.delete_collection(collection.name)
    fill_queue(settings, events_of(raw_article(article) for article in load_articles()))
    time.sleep(1)  # until the broker shows all as ready
    times = [time.perf_counter()]
    [batch_id] = sync.drain(settings).pending
    times.append(time.perf_counter())
    for step in (sync.clean, sync.chunk, sync.embed):
        step(batch_id, settings)
        times.append(time.perf_counter())
    names = ("drain", "clean", "chunk", "embed")
    return {name: end - start for name, start, end in zip(names, times[:-1], times[1:], strict=True)}


if __name__ == "__main__":
    main()
