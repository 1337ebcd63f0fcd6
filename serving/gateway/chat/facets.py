"""``GET /v1/facets``: whose writing there is, and of which kinds, for a request's ``rag`` to choose from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from llmtwin.documents import Kind
from llmtwin.errors import VectorStoreError
from llmtwin.retrieval.directory import Directory
from llmtwin.retrieval.store import asking, open_client, served_collections
from llmtwin.settings import Settings
from llmtwin.vectors import embedded_alias
from serving.gateway.completions import ERRORS
from serving.gateway.errors import ApiError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1", responses=ERRORS)


class Author(BaseModel):
    """Somebody whose writing there is."""

    id: str = Field(description="what `rag.authors` takes")
    name: str


class Choices(BaseModel):
    """What a request can choose from."""

    authors: list[Author] = Field(description="by name")
    kinds: list[Kind]


class Facets:
    """Asks Qdrant for authors and kinds.

    Args:
        settings: Where Qdrant is.
        client: Of it.
    """

    def __init__(self, settings: Settings, client: AsyncQdrantClient) -> None:
        self._settings = settings
        self._client = client
        self._directory = Directory()

    async def choices(self) -> Choices:
        """Return authors and kinds; authors are read at most once a minute.

        Raises:
            VectorStoreError: Qdrant is down, is too slow, or refused.
        """
        served = await served_collections(self._client, self._settings)
        kinds = [kind for kind in Kind if embedded_alias(kind) in served]
        async with asking(self._settings):
            await self._directory.refresh(self._client, kinds)
        names = sorted(self._directory.authors.items(), key=lambda author: author[1].casefold())
        return Choices(authors=[Author(id=str(id_), name=name) for id_, name in names], kinds=kinds)


@asynccontextmanager
async def open_facets(settings: Settings) -> AsyncIterator[Facets]:
    """Open what asks Qdrant; it need not run yet."""
    client = open_client(settings)
    try:
        yield Facets(settings, client)
    finally:
        await client.close()


@router.get("/facets")
async def facets(request: Request) -> Choices:
    """List the authors and kinds that `rag` can choose from."""
    asked: Facets = request.app.state.facets
    try:
        return await asked.choices()
    except VectorStoreError as error:
        log.error("no facets", reason=str(error))
        raise ApiError(
            503, "the feature store cannot be read now: try again in a moment", code="retrieval_unavailable"
        ) from error
