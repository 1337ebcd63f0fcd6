"""What the gateway costs: ``python tests/benchmarks/bench_gateway.py``.

Streams of a real vLLM on this machine, asked directly and through the gateway with retrieval off, in turns: first with
one core kept from vLLM for all others, as vLLM does by itself where there are more, then with vLLM on all of them, as
`llmtwin up` has it on a small machine. There whatever the gateway computes stops the model, so what is measured is how
they share. Last, what the gateway takes before a server that computes nothing, and the processor time that two HTTP
clients need to read a stream.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import httpx
import numpy as np
import psutil
from installation import end_as_by_ctrl_c
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from llmtwin.evaluation.intervals import bootstrap
from llmtwin.local.ports import free_port
from llmtwin.local.vllm import VllmServer
from llmtwin.settings import Settings, settings_environment

HOME = Path(__file__).resolve().parents[2]
STREAMS = (1, 8, 32)
# Of the answers that a stream asks for one after the other. Neighbours begin at different ones: answers of one length
# would all end, and all begin anew, in the same step.
LENGTHS = (96, 32, 64)
ROUNDS = 6
# Streams begin one after the other, spread over so long: those of strangers do. All at once is a column of its own.
SPREAD = 1.0
# Seconds, at most, before a stream asks again. A question asked the moment an answer ends would always meet vLLM at the
# same point, the end of a step, and a millisecond would decide whether it waits for a whole one.
PAUSE = 0.2
CHUNKS = 20_000


@dataclass
class Measured:
    """One round.

    Attributes:
        tokens: Output tokens of all streams.
        seconds: From the first question to the end of the last answer.
        first: Seconds to the first token of each answer.
    """

    tokens: int
    seconds: float
    first: list[float]


def main() -> None:
    """Measure, and print the tables."""
    end_as_by_ctrl_c()
    console = Console()
    cores = sorted(os.sched_getaffinity(0))
    first = ("first token p50, ms", "added, ms (95 % interval)")
    for title, others in (("a core for the others", cores[-1:]), ("all share all cores", cores)):
        model = [core for core in cores if core not in others] or cores
        table = Table("streams", "direct, tokens/s", "gateway, tokens/s", "ratio", *first, title=title)
        with (
            tempfile.TemporaryDirectory() as folder,
            vllm(Path(folder), model) as settings,
            on(others),
            gateway(settings) as url,
        ):
            for streams in STREAMS:
                table.add_row(*row(streams, asyncio.run(alternate(streams, settings.vllm, url))))
        console.print(table)
    added = ("added to first token p50, ms", "when all begin at once, ms")
    table = Table("paced streams", "ratio", *added, "gateway, microseconds of processor time per chunk")
    with scripted() as direct, gateway(Settings(vllm_url=direct)) as url:
        for streams in STREAMS:
            table.add_row(*asyncio.run(paced(streams, direct, url)))
    console.print(table)
    clients = Table("client", "microseconds of processor time per chunk")
    with scripted() as url:
        for name, read in (("aiohttp", read_with_aiohttp), ("httpx", read_with_httpx)):
            clients.add_row(name, f"{asyncio.run(processor_time(read, url)):.1f}")
    console.print(clients)


def row(streams: int, rounds: list[tuple[Measured, Measured]]) -> list[str]:
    """Return a row of the table: rates over all rounds, the first token's median over all answers.

    Answers of one round hang together, so that rounds are what is resampled for the interval.
    """
    direct, through = (
        sum(one.tokens for one in side) / sum(one.seconds for one in side) for side in zip(*rounds, strict=True)
    )
    first = 1000 * np.array([[one.first for one in side] for side in zip(*rounds, strict=True)])

    def added(drawn: NDArray[np.intp]) -> NDArray[np.float64]:
        before, after = np.median(first[:, drawn], axis=(-2, -1))
        difference: NDArray[np.float64] = after - before
        return difference

    found = bootstrap(added, len(rounds), seed=0)
    assert found.interval
    low, high = found.interval
    figures = [f"{direct:.0f}", f"{through:.0f}", f"{through / direct:.3f}", f"{np.median(first[0]):.1f}"]
    return [str(streams), *figures, f"{found.value:+.1f} ({low:+.1f} to {high:+.1f})"]


async def paced(streams: int, direct: str, through: str) -> list[str]:
    """Return a row for a server that writes 50 tokens a second: what the gateway itself takes, whoever else is busy."""
    (process,) = (one for one in psutil.Process().children(recursive=True) if "serving.gateway" in one.cmdline())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await session.post(f"{direct}/script", json={"tokens": None, "interval": 0.02, "text": "word"})
        await measure(session, through, streams)
        rounds = []
        spent = 0.0
        for number in range(ROUNDS):
            one = await measure(session, direct, streams, seed=number)
            before = sum(process.cpu_times()[:2])
            rounds.append((one, await measure(session, through, streams, seed=number)))
            spent += sum(process.cpu_times()[:2]) - before
        bursts = [
            (await measure(session, direct, streams, spread=0), await measure(session, through, streams, spread=0))
            for _ in range(ROUNDS)
        ]
    _, _, _, ratio, _, added = row(streams, rounds)
    at_once = row(streams, bursts)[-1]
    return [str(streams), ratio, added, at_once, f"{spent / sum(one.tokens for _, one in rounds) * 1e6:.0f}"]


async def alternate(streams: int, direct: str, through: str) -> list[tuple[Measured, Measured]]:
    """Measure both in turns, after one round that does not count; every other time the gateway goes first."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for url in (direct, through):
            await measure(session, url, streams)
        rounds = []
        for number in range(ROUNDS):
            urls = [direct, through] if number % 2 else [through, direct]
            found = {url: await measure(session, url, streams, seed=number) for url in urls}
            rounds.append((found[direct], found[through]))
    return rounds


async def measure(
    session: aiohttp.ClientSession, url: str, streams: int, spread: float = SPREAD, seed: int = 0
) -> Measured:
    """Keep that many streams open, each of which asks for one answer after the other; all at once without ``spread``.

    At once, each asks for one answer only: afterwards they would drift apart. The seed is that of the pauses.
    """

    async def ask(number: int) -> list[float]:
        await asyncio.sleep(spread * number / streams)
        start = number % len(LENGTHS)
        lengths = LENGTHS[start:] + LENGTHS[:start] if spread else LENGTHS[start : start + 1]
        asked.extend(lengths)
        draw = random.Random(f"{seed}/{number}")
        found = []
        for tokens in lengths:
            found.append(await stream(session, url, number, tokens))
            await asyncio.sleep(draw.uniform(0, PAUSE))
        return found

    asked: list[int] = []
    started = time.perf_counter()
    first = await asyncio.gather(*(ask(number) for number in range(streams)))
    return Measured(sum(asked), time.perf_counter() - started, [second for one in first for second in one])


async def stream(session: aiohttp.ClientSession, url: str, number: int, tokens: int) -> float:
    """Read one answer of exactly so many tokens; return the seconds to its first."""
    body = {
        "model": "base",
        "messages": [{"role": "user", "content": f"Tell a long story about the number {number}."}],
        "stream": True,
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
    }
    started, first = time.perf_counter(), 0.0
    async with session.post(f"{url}/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for data in response.content.iter_any():
            if not first and b'"content":"' in data.replace(b'"content":""', b""):
                first = time.perf_counter() - started
    return first


async def processor_time(read: Callable[[str], AsyncIterator[bytes]], url: str) -> float:
    """Return the microseconds per chunk that this process works to read a stream."""
    async with aiohttp.ClientSession() as session:
        await session.post(f"{url}/script", json={"tokens": CHUNKS})
    began = time.process_time()
    chunks = 0
    async for data in read(f"{url}/v1/chat/completions"):
        chunks += data.count(b"\n\n")
    return (time.process_time() - began) / chunks * 1e6


BODY = {"model": "base", "messages": [{"role": "user", "content": "x"}], "stream": True}


async def read_with_aiohttp(url: str) -> AsyncIterator[bytes]:
    """As the gateway does."""
    async with aiohttp.ClientSession() as session, session.post(url, json=BODY) as response:
        async for data in response.content.iter_any():
            yield data


async def read_with_httpx(url: str) -> AsyncIterator[bytes]:
    """As it could."""
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
        client.stream("POST", url, json=BODY) as response,
    ):
        async for data in response.aiter_raw():
            yield data


@contextmanager
def on(cores: list[int]) -> Iterator[None]:
    """Keep this program, and what it starts, on these cores inside the block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def vllm(folder: Path, cores: list[int]) -> Iterator[Settings]:
    """Run a vLLM on these cores inside the block; yield settings that point at it."""
    settings = Settings(
        data_dir=HOME / ".local",
        registry_dir=folder / "registry",
        vllm_device="cpu",
        vllm_url=None,
        vllm_port=free_port(),
    )
    server = VllmServer(folder, settings)
    try:
        with on(cores):
            server.start()
        server.wait_ready(300)
        yield settings
    finally:
        server.stop()


@contextmanager
def gateway(settings: Settings) -> Iterator[str]:
    """Run a gateway before it inside the block."""
    port = free_port()
    changed = settings.model_copy(update={"gateway_port": port, "gateway_rate_limit": ""})
    with running(
        [sys.executable, "-m", "serving.gateway"], f"http://127.0.0.1:{port}", settings_environment(changed)
    ) as url:
        yield url


@contextmanager
def scripted() -> Iterator[str]:
    """Run the scripted vLLM inside the block."""
    port = free_port()
    command = [sys.executable, str(HOME / "tests" / "scripted_vllm.py"), str(port), "none"]
    with running(command, f"http://127.0.0.1:{port}", {}) as url:
        yield url


@contextmanager
def running(command: list[str], url: str, environment: dict[str, str]) -> Iterator[str]:
    """Run a server inside the block, its log thrown away."""
    process = subprocess.Popen(command, cwd=HOME, env=os.environ | environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{url}/health", trust_env=False).raise_for_status()
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    main()
