"""Connections to Qdrant: one URL, whether a local server or a cluster answers there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmtwin.errors import VectorStoreError
from llmtwin.settings import Settings, redacted

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


@contextmanager
def connect(settings: Settings, timeout_seconds: int = 60) -> Iterator[QdrantClient]:
    """Open a client that has reached the server; closed at the end.

    Raises:
        VectorStoreError: No server answers, or it refused a request inside the block.
    """
    from qdrant_client import QdrantClient
    from qdrant_client.http.exceptions import ApiException

    client = QdrantClient(
        url=settings.qdrant, api_key=settings.qdrant_api_key, timeout=timeout_seconds, check_compatibility=False
    )
    try:
        client.get_collections()
        yield client
    except ApiException as error:
        raise VectorStoreError(
            f"Qdrant at {redacted(settings.qdrant)} failed: {error}. "
            "If it is down, start it with `llmtwin up` or set QDRANT_URL to a server that runs."
        ) from error
    finally:
        client.close()
