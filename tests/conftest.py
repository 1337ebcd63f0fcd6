"""Fixtures for the whole suite: real servers, started once per session on free ports, and never the user's own.

Ask for what a test needs, and only that is started:

- ``mongodb_url``, ``rabbitmq_url``, ``qdrant_url``: the URL of a running server, shared by the session.
- ``mongodb``: a fresh pymongo database on it, dropped after the test.
- ``settings``: a ``Settings`` that points at all three, with ``mongodb``'s database and its data in ``tmp_path``.
- ``empty_stores``: the same, with an empty queue and an empty Qdrant.
- ``vllm_server``: the settings of a running vLLM (``.vllm`` is its URL, ``.registry`` its adapters' folder), shared by
  the session; it takes a minute, and two more the first time. Mark its tests ``llm``.

Nothing is shared between two tests but the servers themselves: use database, queue and collection names of your own, or
empty what you use first.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from llmtwin.local.ports import free_port
from llmtwin.local.servers import MongoServer, QdrantServer, RabbitServer, Server
from llmtwin.local.vllm import VllmServer
from llmtwin.settings import Settings

if TYPE_CHECKING:
    from pymongo.database import Database

HOME = Path(__file__).resolve().parents[1]
BINARIES = HOME / ".local" / "bin"


def pytest_configure() -> None:
    """Stop the servers also when the suite is terminated, as a CI job that runs too long is."""
    signal.signal(signal.SIGTERM, lambda signum, frame: pytest.exit("terminated", returncode=128 + signum))


@pytest.fixture(scope="session")
def mongodb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a one-node replica set."""
    yield from _serve(MongoServer(tmp_path_factory.mktemp("mongodb"), free_port(), BINARIES))


@pytest.fixture(scope="session")
def rabbitmq_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The AMQP URL of a private RabbitMQ."""
    yield from _serve(RabbitServer(tmp_path_factory.mktemp("rabbitmq"), free_port(), free_port(), free_port()))


@pytest.fixture(scope="session")
def qdrant_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the local Qdrant; of a real one where ``QDRANT_URL`` is set."""
    if url := os.environ.get("QDRANT_URL"):
        yield url
    else:
        yield from _serve(QdrantServer(tmp_path_factory.mktemp("qdrant"), free_port()))


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of a vLLM on the CPU that serves the default base model, and an empty registry."""
    folder = tmp_path_factory.mktemp("vllm")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LLMTWIN_")]:
            patch.delenv(name)
        settings = Settings(
            home=HOME,
            data_dir=HOME / ".local",  # where it is installed
            registry_dir=folder / "registry",
            vllm_device="cpu",
            vllm_url=None,
            vllm_port=free_port(),
        )
        for _url in _serve(VllmServer(folder, settings), timeout=300):
            yield settings


@pytest.fixture
def mongodb(mongodb_url: str) -> Iterator[Database[dict[str, Any]]]:
    """A database of this test's own, dropped after it."""
    from pymongo import MongoClient

    with MongoClient[dict[str, Any]](mongodb_url, uuidRepresentation="standard", tz_aware=True) as client:
        database = client[f"test_{uuid4().hex}"]
        yield database
        client.drop_database(database.name)


@pytest.fixture
def settings(
    mongodb: Database[dict[str, Any]],
    mongodb_url: str,
    rabbitmq_url: str,
    qdrant_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Settings of the three test servers; all else at its default, whatever the user's environment says."""
    for name in [name for name in os.environ if name.startswith("LLMTWIN_")]:
        monkeypatch.delenv(name)
    return Settings(
        home=HOME,
        data_dir=tmp_path,
        sources_file=tmp_path / "sources.yaml",  # not the user's own
        models_dir=HOME / ".local" / "models",  # converting one takes seconds, and the result never changes
        mongodb_url=mongodb_url,
        rabbitmq_url=rabbitmq_url,
        qdrant_url=qdrant_url,
        mongodb_database=mongodb.name,
    )


@pytest.fixture
def empty_stores(settings: Settings) -> Settings:
    """``settings``, after what other tests left in the queue and in Qdrant was removed."""
    from llmtwin import vectors
    from llmtwin.events import DEAD_QUEUE, QUEUE, connect

    with connect(settings.rabbitmq) as channel:
        channel.queue_purge(QUEUE)
        channel.queue_purge(DEAD_QUEUE)
    with vectors.connect(settings) as client:
        for collection in client.get_collections().collections:
            client.delete_collection(collection.name)
    return settings


def _serve(server: Server, timeout: float = 60.0) -> Iterator[str]:
    try:
        server.start()
        server.wait_ready(timeout)
        yield server.url
    finally:
        server.stop()
        # pytest keeps the temporary folders of three runs; a server's data is hundreds of megabytes.
        shutil.rmtree(server.folder)
