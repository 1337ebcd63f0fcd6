"""Qdrant that is down, silent, or serves another model: a clear error, in bounded time."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.documents import article
from tests.integration.retrieval.conftest import HOME, Ask, index

from llmtwin import vectors
from llmtwin.documents import Kind
from llmtwin.errors import VectorStoreError
from llmtwin.local.ports import free_port
from llmtwin.retrieval import Retrieval
from llmtwin.settings import Settings

pytestmark = pytest.mark.stack


def retrieve(settings: Settings) -> None:
    async def once() -> None:
        async with Retrieval(settings) as retrieval:
            await retrieval.retrieve("anything")

    asyncio.run(once())


def settings_of(url: str, **changes: float) -> Settings:
    return Settings(home=HOME, models_dir=HOME / ".local" / "models", qdrant_url=url).model_copy(update=changes)


def test_a_qdrant_that_is_down_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(VectorStoreError, match="llmtwin up"):
        retrieve(settings_of(f"http://127.0.0.1:{free_port()}"))


def test_a_silent_qdrant_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(VectorStoreError, match=r"did not answer within 0\.3 s"):
            retrieve(settings_of(f"http://127.0.0.1:{port}", retrieval_timeout_seconds=0.3))


def test_passwords_in_the_url_are_not_told() -> None:
    with pytest.raises(VectorStoreError) as caught:
        retrieve(settings_of(f"http://ana:secret@127.0.0.1:{free_port()}"))
    assert "secret" not in str(caught.value)


def test_vectors_of_another_model_are_not_searched(store: Settings, ask: Ask) -> None:
    index(store, article(1))
    with vectors.connect(store) as client:
        client.create_collection("embedded_articles__other__v1", vectors_config={})
        vectors.switch_alias(client, vectors.embedded_alias(Kind.ARTICLE), "embedded_articles__other__v1")
    with pytest.raises(VectorStoreError, match="vectors switch article"):
        ask("anything")
    assert ask("anything", kinds=["post"]).passages == []


def test_it_comes_back_with_qdrant(store: Settings) -> None:
    """The client made before Qdrant was there answers once it is."""
    index(store, article(1))
    port = free_port()

    async def wait_for_it() -> None:
        settings = store.model_copy(update={"qdrant_url": f"http://127.0.0.1:{port}"})
        async with Retrieval(settings) as retrieval:
            with pytest.raises(VectorStoreError):
                await retrieval.retrieve("a text")
            target = store.qdrant.removeprefix("http://").split(":")
            async with await asyncio.start_server(
                lambda r, w: relay(r, w, target[0], int(target[1])), "127.0.0.1", port
            ):
                assert (await retrieval.retrieve("a text")).passages

    asyncio.run(wait_for_it())


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    there, back = await asyncio.open_connection(host, port)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
        target.close()

    await asyncio.gather(copy(reader, back), copy(there, writer))
