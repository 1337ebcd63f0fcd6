"""Questions are embedded in batches, beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmtwin.documents import Kind
from llmtwin.errors import EmbeddingError
from llmtwin.features import embedder_for
from llmtwin.features.embedding import Embedder
from llmtwin.retrieval import QueryEmbedder
from llmtwin.settings import Settings

HOME = Path(__file__).resolve().parents[3]
SETTINGS = Settings(home=HOME, models_dir=HOME / ".local" / "models", embedding_backend="openvino")
QUESTIONS = [f"What is question {number} about, and why was it asked?" for number in range(50)]
Embed = Callable[[Sequence[str]], Any]


@asynccontextmanager
async def embedding_by(
    replaced: Callable[[Embed], Embed], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[QueryEmbedder]:
    """A query embedder whose model's calls go through what `replaced` returns."""
    async with QueryEmbedder(SETTINGS) as embedder:
        original = embedder_for(Kind.ARTICLE, SETTINGS).embed_queries
        monkeypatch.setattr(Embedder, "embed_queries", lambda _self, texts: replaced(original)(texts))
        yield embedder


def test_concurrent_questions_share_batches_and_get_their_own_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []

    def counting(original: Embed) -> Embed:
        def embed(texts: Sequence[str]) -> Any:
            batches.append(len(texts))
            return original(texts)

        return embed

    async def ask() -> list[dict[Kind, list[Any]]]:
        async with embedding_by(counting, monkeypatch) as embedder:
            return await asyncio.gather(*(embedder.embed([question], [Kind.ARTICLE]) for question in QUESTIONS))

    found = asyncio.run(ask())
    assert batches == [50]
    alone = embedder_for(Kind.ARTICLE, SETTINGS).embed_queries(QUESTIONS[:3])
    for number in range(3):
        assert found[number][Kind.ARTICLE][0] @ alone[number] >= 0.9999


def test_kinds_of_one_model_share_a_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> dict[Kind, list[Any]]:
        async with QueryEmbedder(SETTINGS) as embedder:
            return await embedder.embed(["one", "two"], list(Kind))

    found = asyncio.run(ask())
    assert {kind: len(vectors) for kind, vectors in found.items()} == dict.fromkeys(Kind, 2)
    assert found[Kind.POST][0] is found[Kind.REPOSITORY][0]
    assert np.abs(found[Kind.POST][0] - found[Kind.POST][1]).max() > 0.01


def test_the_loop_goes_on_while_the_model_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is held until the loop has turned 1,000 times, which it never would if the model stood in its way."""
    turned = threading.Event()

    def held(original: Embed) -> Embed:
        def embed(texts: Sequence[str]) -> Any:
            assert turned.wait(30), "the event loop stood still"
            return original(texts)

        return embed

    async def turn() -> None:
        for _ in range(1_000):
            await asyncio.sleep(0)
        turned.set()

    async def ask() -> None:
        async with embedding_by(held, monkeypatch) as embedder:
            asking = [asyncio.create_task(embedder.embed([question], list(Kind))) for question in QUESTIONS]
            await turn()
            await asyncio.gather(*asking)

    asyncio.run(ask())


def test_the_loop_turns_while_fifty_questions_are_embedded() -> None:
    async def ask() -> int:
        turns = 0
        async with QueryEmbedder(SETTINGS) as embedder:
            asking = asyncio.gather(*(embedder.embed([f"{question} " * 20], [Kind.POST]) for question in QUESTIONS))
            while not asking.done():
                await asyncio.sleep(0)
                turns += 1
            await asking
        return turns

    # Blocked, it would turn a handful of times; free, it does tens of thousands of times.
    assert asyncio.run(ask()) > 200


def test_a_failure_reaches_everybody_who_asked_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = True

    def broken(original: Embed) -> Embed:
        def embed(texts: Sequence[str]) -> Any:
            if failing:
                raise EmbeddingError("out of order")
            return original(texts)

        return embed

    async def ask() -> None:
        nonlocal failing
        async with embedding_by(broken, monkeypatch) as embedder:
            asked = [embedder.embed([question], [Kind.POST]) for question in QUESTIONS[:3]]
            assert {str(error) for error in await asyncio.gather(*asked, return_exceptions=True)} == {"out of order"}
            failing = False
            assert await embedder.embed(["again"], [Kind.POST])

    asyncio.run(ask())


def test_who_goes_away_does_not_stop_the_others() -> None:
    async def ask() -> None:
        async with QueryEmbedder(SETTINGS) as embedder:
            gone, stays = (asyncio.create_task(embedder.embed([text], [Kind.POST])) for text in QUESTIONS[:2])
            await asyncio.sleep(0)
            gone.cancel()
            assert (await stays)[Kind.POST]
            assert gone.cancelled()

    asyncio.run(ask())


def test_closing_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def held(original: Embed) -> Embed:
        def embed(texts: Sequence[str]) -> Any:
            release.wait(30)
            return original(texts)

        return embed

    async def ask() -> None:
        async with embedding_by(held, monkeypatch) as embedder:
            waiting = asyncio.create_task(embedder.embed(["one"], [Kind.POST]))
            await asyncio.sleep(0.05)
            later = asyncio.create_task(embedder.embed(["two"], [Kind.POST]))
            await asyncio.sleep(0)
        try:
            outcomes = await asyncio.wait_for(asyncio.gather(waiting, later, return_exceptions=True), 20)
            assert [type(one) for one in outcomes] == [asyncio.CancelledError] * 2
        finally:
            release.set()

    asyncio.run(ask())
