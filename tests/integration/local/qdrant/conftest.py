"""Clients of the servers that must not differ: the local one, and the real one where ``QDRANT_URL`` is set."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from qdrant_client import QdrantClient, models
from tests.integration.local.qdrant.server import LocalQdrant

MakeCollection = Callable[..., str]


@pytest.fixture(scope="session")
def local_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with LocalQdrant(tmp_path_factory.mktemp("congruence")) as server:
        yield server.url


@pytest.fixture(scope="session", params=["local", *(["real"] if "QDRANT_URL" in os.environ else [])])
def client(request: pytest.FixtureRequest) -> Iterator[QdrantClient]:
    url = request.getfixturevalue("local_url") if request.param == "local" else os.environ["QDRANT_URL"]
    client = QdrantClient(url=url, api_key=os.environ.get("QDRANT_API_KEY"), timeout=60)
    yield client
    client.close()


@pytest.fixture
def make_collection(client: QdrantClient) -> Iterator[MakeCollection]:
    """Make a collection under a name of its own; it goes with the test."""
    made = []

    def make(
        vectors: dict[str, models.VectorParams] | models.VectorParams | None = None,
        sparse: dict[str, models.SparseVectorParams] | None = None,
    ) -> str:
        name = f"test_{uuid4().hex}"
        client.create_collection(name, vectors_config=vectors or {}, sparse_vectors_config=sparse)
        made.append(name)
        return name

    yield make
    for name in made:
        client.delete_collection(name)


@pytest.fixture
def hybrid(make_collection: MakeCollection) -> str:
    """A collection with the named vectors ``dense`` (4, cosine) and ``bm25`` (sparse, IDF)."""
    return make_collection(
        {"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)},
        {"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )


@pytest.fixture
def plain(make_collection: MakeCollection) -> str:
    """A collection without vectors, as cleaned documents have it."""
    return make_collection()
