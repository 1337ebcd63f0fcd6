"""Whose writing is stored, and from where: looked up, never created."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from llmtwin.documents import Kind
from llmtwin.vectors import chunk_filter, embedded_alias

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

MOST_AUTHORS = 1_000
MOST_PLATFORMS = 1_000
_FRESH_SECONDS = 60.0


@dataclass
class Directory:
    """Authors and platforms of all chunks, read at most once a minute."""

    authors: dict[UUID, str] = field(default_factory=dict)
    """Full names by id."""
    platforms: frozenset[str] = frozenset()
    _read_at: float | None = None

    async def refresh(self, client: AsyncQdrantClient, kinds: Iterable[Kind]) -> None:
        """Read both again if that was long ago; raises what the client does.

        Args:
            client: Of Qdrant.
            kinds: Those of which there are chunks.
        """
        if self._read_at is not None and time.monotonic() - self._read_at < _FRESH_SECONDS:
            return
        authors: dict[UUID, str] = {}
        platforms: set[str] = set()
        for kind in kinds:
            alias = embedded_alias(kind)
            hosts = await client.facet(alias, "platform", limit=MOST_PLATFORMS)
            platforms |= {str(hit.value) for hit in hosts.hits}
            ids = [str(hit.value) for hit in (await client.facet(alias, "author_id", limit=MOST_AUTHORS)).hits]
            authors |= await _names(client, alias, [one for one in ids if UUID(one) not in authors])
        self.authors, self.platforms = authors, frozenset(platforms)
        self._read_at = time.monotonic() if authors else None  # what begins to fill is looked at again


async def _names(client: AsyncQdrantClient, alias: str, ids: list[str]) -> dict[UUID, str]:
    """Return full names by id: those that one chunk of each author carries."""
    from qdrant_client import models

    if not ids:
        return {}
    one_each = [
        models.QueryRequest(filter=chunk_filter([id_]), limit=1, with_payload=["author_full_name"]) for id_ in ids
    ]
    answers = await client.query_batch_points(alias, one_each)
    return {
        UUID(id_): (answer.points[0].payload or {})["author_full_name"]
        for id_, answer in zip(ids, answers, strict=True)
        if answer.points
    }
