"""Qdrant, asked without blocking: bounded in seconds, and one kind of error whatever went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from llmtwin.errors import VectorStoreError
from llmtwin.settings import Settings, redacted

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient


def open_client(settings: Settings) -> AsyncQdrantClient:
    """Return a client of the server that the settings name. Connects with the first request."""
    from qdrant_client import AsyncQdrantClient

    return AsyncQdrantClient(
        url=settings.qdrant,
        api_key=settings.qdrant_api_key,
        timeout=int(settings.retrieval_timeout_seconds) + 1,  # whole seconds only; `asking` is more exact
        check_compatibility=False,
    )


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[None]:
    """Bound the requests inside the block in time.

    Raises:
        VectorStoreError: Qdrant is down, is too slow, or refused.
    """
    from qdrant_client.http.exceptions import ApiException

    where = f"Qdrant at {redacted(settings.qdrant)}"
    try:
        async with asyncio.timeout(settings.retrieval_timeout_seconds):
            yield
    except TimeoutError as error:
        raise VectorStoreError(
            f"{where} did not answer within {settings.retrieval_timeout_seconds:g} s "
            "(LLMTWIN_RETRIEVAL_TIMEOUT_SECONDS)"
        ) from error
    except ApiException as error:
        raise VectorStoreError(
            f"{where} failed: {error}. If it is down, start it with `llmtwin up`, or set QDRANT_URL to one that runs"
        ) from error


async def served_collections(client: AsyncQdrantClient, settings: Settings) -> dict[str, str]:
    """Return all aliases with the collections that stand behind them.

    Raises:
        VectorStoreError: See `asking`.
    """
    async with asking(settings):
        return {entry.alias_name: entry.collection_name for entry in (await client.get_aliases()).aliases}
