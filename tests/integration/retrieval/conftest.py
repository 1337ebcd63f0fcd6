"""A Qdrant of these tests' own content, without MongoDB and RabbitMQ: retrieval asks neither."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sources.conftest import web

from llmtwin import vectors
from llmtwin.documents import Kind, RawDocument
from llmtwin.features import embedder_for, encode_document, handler_for
from llmtwin.retrieval import Complete, Options, Retrieval, Retrieved
from llmtwin.settings import Settings
from llmtwin.vectors.collections import DENSE, SPARSE, ensure_embedded

__all__ = ["web"]

HOME = Path(__file__).resolve().parents[3]
Ask = Callable[..., Retrieved]


@pytest.fixture(scope="session")
def installed(qdrant_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings that all tests share, for models are loaded once for each."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LLMTWIN_")]:
            patch.delenv(name)
        return Settings(
            home=HOME,
            data_dir=tmp_path_factory.mktemp("data"),
            models_dir=HOME / ".local" / "models",
            qdrant_url=qdrant_url,
            mongodb_url="mongodb://127.0.0.1:1",
            rabbitmq_url="amqp://127.0.0.1:1",
        )


@pytest.fixture
def store(installed: Settings) -> Settings:
    """Settings of an empty Qdrant; of the other servers there is none.

    Collections of chunks are emptied and not made anew: each has eleven indexes, and each index is written to disk.
    """
    from qdrant_client import models

    with vectors.connect(installed) as client:
        own = {vectors.embedded_collection(kind, handler_for(kind, installed).model_id) for kind in Kind}
        served = set(vectors.aliases(client).values())
        for name in vectors.collection_names(client):
            if name in own & served:
                client.delete(name, models.Filter(), wait=True)
            else:
                client.delete_collection(name)
    return installed


@pytest.fixture
def ask(store: Settings) -> Ask:
    """Retrieve once, with changed settings if any are given."""

    def run(
        question: str, complete: Complete | None = None, changes: dict[str, Any] | None = None, **options: Any
    ) -> Retrieved:
        settings = store.model_copy(update=changes or {})

        async def once() -> Retrieved:
            async with Retrieval(settings) as retrieval:
                return await retrieval.retrieve(question, Options.of(settings, options), complete)

        return asyncio.run(once())

    return run


def index(settings: Settings, *documents: RawDocument, version: int = 1) -> None:
    """Write the chunks of these documents as the pipeline does."""
    from qdrant_client import models

    with vectors.connect(settings) as client:
        for document in documents:
            handler, embedder = handler_for(document.kind, settings), embedder_for(document.kind, settings)
            chunks = handler.chunk(handler.clean(document, version))
            target = ensure_embedded(client, document.kind, embedder.model_id, embedder.dimension)
            points = []
            for chunk, dense in zip(chunks, embedder.embed([chunk.content for chunk in chunks]), strict=True):
                indices, values = encode_document(chunk.content)
                sparse = models.SparseVector(indices=indices, values=values)
                payload = chunk.model_dump(mode="json")
                points.append(
                    models.PointStruct(
                        id=str(chunk.chunk_id), vector={DENSE: dense.tolist(), SPARSE: sparse}, payload=payload
                    )
                )
            client.upsert(target, points, wait=True)
