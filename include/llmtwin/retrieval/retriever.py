"""One retriever for each kind of document, all with the same interface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from llmtwin.documents import Kind
from llmtwin.retrieval.passage import Passage
from llmtwin.settings import Settings
from llmtwin.vectors import QueryVectors, chunk_query, embedded_alias, require_same_model

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, models


@dataclass(frozen=True)
class Retriever:
    """Finds chunks of one kind. Its methods raise what the client does; see `store.asking`."""

    kind: Kind
    settings: Settings

    def is_served(self, collections: Mapping[str, str]) -> bool:
        """Return whether there are chunks of this kind.

        Args:
            collections: Behind each alias.

        Raises:
            VectorStoreError: They were embedded by another model than the settings name.
        """
        served = collections.get(embedded_alias(self.kind))
        if served is not None:
            require_same_model(self.kind, served, self.settings)
        return served is not None

    async def search(
        self, client: AsyncQdrantClient, wordings: Sequence[QueryVectors], limit: int, chosen: models.Filter | None
    ) -> list[Passage]:
        """Return the best chunks for all wordings of a question together, best first, in one request.

        Args:
            client: Of Qdrant.
            wordings: With at least one vector among them.
            limit: Chunks at most.
            chosen: Which may be found at all.
        """
        candidates = max(limit, self.settings.retrieval_candidates)
        request = chunk_query(wordings, limit, candidates, self.settings.rrf_k, chosen)
        [answer] = await client.query_batch_points(embedded_alias(self.kind), [request])
        return [Passage.read(point.payload or {}, point.score) for point in answer.points]

    async def chunks(self, client: AsyncQdrantClient, ids: Iterable[UUID]) -> list[Passage]:
        """Return those of these chunks that exist, in any order, with a score of 0."""
        records = await client.retrieve(embedded_alias(self.kind), [str(id_) for id_ in ids], with_payload=True)
        return [Passage.read(record.payload or {}, 0.0) for record in records]


def retrievers(settings: Settings) -> dict[Kind, Retriever]:
    """Return the retriever of every kind."""
    return {kind: Retriever(kind, settings) for kind in Kind}
