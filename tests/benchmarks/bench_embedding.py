"""How fast chunks become vectors, by four ways, in one run: only the ratios carry over to other machines.

python tests/benchmarks/bench_embedding.py [--chunks 300]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from corpus import ARTICLES, load_articles, raw_article

from llmtwin.documents import Kind
from llmtwin.features import embedder_for, handler_for
from llmtwin.features.embedding import Model, open_model
from llmtwin.settings import Settings


def chunk_texts(settings: Settings, count: int) -> list[str]:
    """Return chunks of the corpus as the pipeline makes them, spread evenly over it."""
    handler = handler_for(Kind.ARTICLE, settings)
    texts = [
        chunk.content for article in load_articles() for chunk in handler.chunk(handler.clean(raw_article(article), 1))
    ]
    return [texts[index * len(texts) // count] for index in range(min(count, len(texts)))]


def one_at_a_time(model: Model, texts: list[str]) -> Callable[[], Any]:
    """PyTorch in float32, one text for each call; the model is loaded before."""
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(model.path), device="cpu")
    return lambda: [loaded.encode(text) for text in texts]


def model_for_every_chunk(model: Model, texts: list[str]) -> Callable[[], Any]:
    """The same with the model loaded again for each text."""
    from sentence_transformers import SentenceTransformer

    return lambda: [SentenceTransformer(str(model.path), device="cpu").encode(text) for text in texts]


def bare_loop(settings: Settings, model: Model, texts: list[str]) -> Callable[[], Any]:
    """OpenVINO on token ids made before, sorted and padded: what the backend can do at best."""
    import openvino

    (graph,) = settings.models.glob("*/model.xml")
    compiled = openvino.Core().compile_model(str(graph), "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    rows = sorted((encoding.ids for encoding in model.encode(texts)), key=len, reverse=True)
    size = settings.embedding_batch_size
    batches = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        ids = np.array([row + [0] * (len(part[0]) - len(row)) for row in part], np.int64)
        mask = np.array([[1] * len(row) + [0] * (len(part[0]) - len(row)) for row in part], np.int64)
        batches.append([ids, mask, mask])
    queue = openvino.AsyncInferQueue(compiled)

    def run() -> None:
        for batch in batches:
            queue.start_async(batch)
        queue.wait_all()

    return run


def chunks_per_second(run: Callable[[], Any], chunks: int, repeats: int) -> float:
    """Return the best of the repeats; the others had company on the machine."""
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return chunks / best


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chunks", type=int, default=300)
    count: int = parser.parse_args().chunks
    # Fair to PyTorch on a busy machine: its waiting threads give up their core instead of spinning on it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), embedding_backend="openvino")
        model = open_model(settings.text_model, settings.home)
        embedder = embedder_for(Kind.ARTICLE, settings)
        texts = chunk_texts(settings, count)
        few, some = texts[:: max(1, len(texts) // 10)], texts[:: max(1, len(texts) // 60)]
        embedder.embed(texts[:16])
        figures = {
            "torch fp32, model loaded for every chunk": chunks_per_second(
                model_for_every_chunk(model, few), len(few), 1
            ),
            "torch fp32, one at a time": chunks_per_second(one_at_a_time(model, some), len(some), 2),
            "OpenVINO, bare loop": chunks_per_second(bare_loop(settings, model, texts), len(texts), 3),
            "llmtwin embedder": chunks_per_second(lambda: embedder.embed(texts), len(texts), 3),
        }
    tokens = [len(encoding.ids) for encoding in model.encode(texts)]
    print(
        f"{len(texts)} chunks of {'real' if ARTICLES.exists() else 'generated'} articles, "
        f"{np.mean(tokens):.0f} tokens on average, batches of {settings.embedding_batch_size}\n"
    )
    ours = figures["llmtwin embedder"]
    print(f"{'':<44}{'chunks/s':>10}{'llmtwin is':>14}")
    for name, figure in figures.items():
        print(f"{name:<44}{figure:>10.1f}{ours / figure:>13.2f}x")


if __name__ == "__main__":
    main()
