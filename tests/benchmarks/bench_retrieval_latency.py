"""How long retrieval takes over 100,000 chunks: ``python tests/benchmarks/bench_retrieval_latency.py``.

The chunks are synthetic. Each is the first half of one chunk of the corpus and the second half of another, so that
words are as frequent as in real text; its sparse vector is the sum of theirs, its dense vector the first one's with
noise, at a cosine of about 0.9 to it, so that there are neighbours to walk along. The questions are those of
`questions`, one after another, embedding included. The index is built before the clock starts.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import quantiles
from typing import Any
from uuid import UUID

import numpy as np
from corpus import load_articles
from installation import installation
from questions import make_questions
from rich.console import Console
from rich.table import Table

from llmtwin import vectors
from llmtwin.documents import DocumentChunk, Kind
from llmtwin.features import embedder_for, encode_document
from llmtwin.retrieval import Options, Retrieval
from llmtwin.settings import Settings
from llmtwin.vectors.collections import DENSE, SPARSE, ensure_embedded

TARGET_MS = 60
NOISE = 0.48  # against a unit vector: a cosine of about 0.9
PORTION = 500
STEPS = ("embed", "search", "rerank", "total")
PLAIN = {"kinds": ["article"], "rerank": False}
ROWS: dict[str, dict[str, Any]] = {
    "dense": {**PLAIN, "mode": "dense"},
    "sparse": {**PLAIN, "mode": "sparse"},
    "hybrid": PLAIN,
    "hybrid, one author": {**PLAIN, "authors": ["Maxime Labonne"]},
    "hybrid + rerank": {**PLAIN, "rerank": True},
}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200)
    given = parser.parse_args()
    with installation("qdrant") as settings:
        chunks, questions = make_questions(load_articles(), settings)
        texts = [question.text for question in random.Random(0).sample(questions, min(given.questions, len(questions)))]
        started = time.perf_counter()
        fill(chunks, given.chunks, settings)
        filled = time.perf_counter() - started
        wait_for_index(settings)
        built = time.perf_counter() - started - filled
        table = Table(
            "retrieval", *(f"{step} p50" for step in STEPS), "total p95", title=f"ms, over {given.chunks:,} chunks"
        )
        for name, options in ROWS.items():
            table.add_row(name, *asyncio.run(measure(texts, settings, options)))
        Console(width=110).print(
            f"written in {filled:.0f} s, index built {built:.0f} s later; target: hybrid within {TARGET_MS} ms at p95",
            table,
        )


def fill(chunks: Sequence[DocumentChunk], count: int, settings: Settings) -> None:
    """Write so many synthetic chunks."""
    embedder = embedder_for(Kind.ARTICLE, settings)
    dense = embedder.embed([chunk.content for chunk in chunks])
    with vectors.connect(settings) as client:
        target = ensure_embedded(client, Kind.ARTICLE, embedder.model_id, embedder.dimension)
        portion = []
        for point in synthetic_points(chunks, dense, count):
            portion.append(point)
            if len(portion) == PORTION:
                client.upsert(target, portion, wait=True)
                portion = []
        if portion:
            client.upsert(target, portion, wait=True)


def synthetic_points(chunks: Sequence[DocumentChunk], dense: Any, count: int) -> Iterator[Any]:
    """Yield points of Qdrant; see above how they are made."""
    from qdrant_client import models

    draw, noise = random.Random(0), np.random.default_rng(0)
    halves = [(text[: len(text) // 2], text[len(text) // 2 :]) for text in (chunk.content for chunk in chunks)]
    terms = [tuple(Counter(dict(zip(*encode_document(half), strict=True))) for half in pair) for pair in halves]
    for number in range(count):
        first, second = number % len(chunks), draw.randrange(len(chunks))
        vector = dense[first] + noise.standard_normal(dense.shape[1]) * NOISE / np.sqrt(dense.shape[1])
        words = terms[first][0] + terms[second][1]
        identity = UUID(int=draw.getrandbits(128), version=4)
        payload = chunks[first].model_dump(mode="json") | {
            "chunk_id": str(identity),
            "document_id": str(UUID(int=number // 20)),
            "position": number % 20,
            "content": halves[first][0] + halves[second][1],
        }
        sparse = models.SparseVector(indices=list(words), values=list(words.values()))
        named: Any = {DENSE: (vector / np.linalg.norm(vector)).tolist(), SPARSE: sparse}
        yield models.PointStruct(id=str(identity), vector=named, payload=payload)


def wait_for_index(settings: Settings) -> None:
    """Wait until nothing is left to index: the same number twice, two maintenance rounds apart, and nobody at work."""
    from qdrant_client import models

    deadline = time.monotonic() + 1_800
    before = -1
    with vectors.connect(settings) as client:
        while time.monotonic() < deadline:
            info = client.get_collection(vectors.embedded_alias(Kind.ARTICLE))
            indexed = info.indexed_vectors_count or 0
            if info.status == models.CollectionStatus.GREEN and indexed and indexed == before:
                return
            before = indexed if info.status == models.CollectionStatus.GREEN else -1
            time.sleep(3)
    raise TimeoutError("the index was not built in half an hour")


async def measure(questions: Sequence[str], settings: Settings, options: dict[str, Any]) -> list[str]:
    """Return milliseconds: the median of each step and of all, and the 95th percentile of all."""
    asked = Options.of(settings, options)
    async with Retrieval(settings) as retrieval:
        for question in questions[:10]:
            await retrieval.retrieve(question, asked)
        steps = [(await retrieval.retrieve(question, asked)).steps for question in questions]
    taken = {step: [one.get(step, 0.0) * 1000 for one in steps] for step in STEPS}
    cuts = {step: quantiles(values, n=20) for step, values in taken.items()}
    return [*(f"{cuts[step][9]:.1f}" for step in STEPS), f"{cuts['total'][18]:.1f}"]


if __name__ == "__main__":
    main()
