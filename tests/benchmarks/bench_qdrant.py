"""How fast the local Qdrant server is over HTTP: ``python tests/benchmarks/bench_qdrant.py``.

Upserts and queries 20,000 points of 384 dimensions through ``qdrant_client``, next to the bare engine in this process.
Figures of one run on one machine: compare the rows, not the days.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

import httpx
import numpy as np
import qdrant_edge as edge
from qdrant_client import QdrantClient, models
from rich.console import Console
from rich.table import Table

POINTS, DIMENSIONS, BATCH, QUERIES = 20_000, 384, 500, 300


def main() -> None:
    """Measure, and print the table."""
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((POINTS, DIMENSIONS)).astype("float32").tolist()
    queries = draw.standard_normal((QUERIES, DIMENSIONS)).astype("float32").tolist()
    table = Table("path", "upserts/s", "query p50, ms", "query p95, ms", title=f"{POINTS:,} x {DIMENSIONS}")
    with tempfile.TemporaryDirectory() as folder:
        for row in (*bench_engine(Path(folder) / "engine", vectors, queries), *bench_server(folder, vectors, queries)):
            table.add_row(row[0], *(f"{value:,.2f}" if value < 100 else f"{value:,.0f}" for value in row[1:]))
    Console().print(table)


Row = tuple[str, float, float, float]
Vectors = list[list[float]]


def bench_engine(folder: Path, vectors: Vectors, queries: Vectors) -> Iterator[Row]:
    """The bare engine: what no server can beat."""
    params = edge.EdgeVectorParams(DIMENSIONS, edge.Distance.Cosine)
    shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors={"dense": params}))

    def upsert(start: int) -> None:
        points = [
            edge.Point(i, {"dense": vectors[i]}, {"kind": "post", "position": i}) for i in range(start, start + BATCH)
        ]
        shard.update(edge.UpdateOperation.upsert_points(points))
        shard.flush()

    def query(vector: list[float]) -> None:
        shard.query(edge.QueryRequest(limit=10, query=edge.Query.Nearest(vector, "dense"), with_payload=True))

    rate = upserts_per_second(upsert)
    yield "engine, no index", rate, *latencies(query, queries)
    shard.optimize()
    yield "engine, indexed", rate, *latencies(query, queries)
    shard.close()


def bench_server(folder: str, vectors: Vectors, queries: Vectors) -> Iterator[Row]:
    """The server, one client, every write waited for: while it builds its index in the background, and after."""
    with served(folder) as url:
        client = QdrantClient(url=url, timeout=60)
        params = models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)
        client.create_collection("bench", vectors_config={"dense": params})

        def upsert(start: int) -> None:
            points = [
                models.PointStruct(id=i, vector={"dense": vectors[i]}, payload={"kind": "post", "position": i})
                for i in range(start, start + BATCH)
            ]
            client.upsert("bench", points, wait=True)

        def query(vector: list[float]) -> None:
            client.query_points("bench", query=vector, using="dense", limit=10)

        rate = upserts_per_second(upsert)
        yield "HTTP, index being built", rate, *latencies(query, queries)
        wait_for_index(client)
        yield "HTTP, indexed", rate, *latencies(query, queries)


def upserts_per_second(upsert: Callable[[int], None]) -> float:
    """Points per second, in batches, each durable before the next."""
    started = time.perf_counter()
    for start in range(0, POINTS, BATCH):
        upsert(start)
    return POINTS / (time.perf_counter() - started)


def latencies(query: Callable[[list[float]], None], queries: Vectors) -> tuple[float, float]:
    """Median and 95th percentile, in milliseconds."""
    taken = []
    for vector in queries:
        started = time.perf_counter()
        query(vector)
        taken.append((time.perf_counter() - started) * 1000)
    cuts = quantiles(taken, n=20)
    return cuts[9], cuts[18]


def wait_for_index(client: QdrantClient) -> None:
    """Wait until the background optimization is through."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        info = client.get_collection("bench")
        if info.status == models.CollectionStatus.GREEN and info.indexed_vectors_count:
            return
        time.sleep(0.5)
    raise TimeoutError("the index was not built in five minutes")


@contextmanager
def served(folder: str) -> Iterator[str]:
    """Run a server on a free port inside the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "llmtwin.local.qdrant", "--port", str(port), "--data-dir", f"{folder}/server"]
    process = subprocess.Popen(command)
    try:
        while process.poll() is None:
            try:
                httpx.get(f"{url}/readyz").raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    main()
