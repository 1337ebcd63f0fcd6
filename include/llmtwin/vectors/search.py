"""Search over chunks: meaning (dense) and words (BM25), fused by rank in one query.

What a query looks like is said here once; `search` asks it of a client that blocks, `llmtwin.retrieval` of one that
does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from llmtwin.documents import Kind
from llmtwin.errors import VectorStoreError
from llmtwin.features import embed_query, encode_query, handler_for
from llmtwin.settings import Settings
from llmtwin.vectors.collections import DENSE, SPARSE, aliases, embedded_alias, embedded_collection
from llmtwin.vectors.connection import connect

if TYPE_CHECKING:
    from qdrant_client import models


@dataclass(frozen=True)
class Hit:
    """A chunk that answers a query."""

    score: float
    """Reciprocal rank fusion's score; comparable within one query only."""
    kind: Kind
    title: str | None
    link: str
    author: str
    content: str
    path: str | None
    lines: tuple[int, int] | None

    @property
    def source(self) -> str:
        """Where to read it: link, and lines for code."""
        return f"{self.link}#L{self.lines[0]}-L{self.lines[1]}" if self.lines else self.link


@dataclass(frozen=True)
class QueryVectors:
    """One wording of a question as vectors; of each kind one, or none to do without that search."""

    dense: Sequence[float] | None = None
    sparse: tuple[list[int], list[float]] | None = None
    weight: float = 1.0
    """How much its ranks count beside those of other wordings."""


def search(
    text: str, settings: Settings, kinds: Iterable[Kind] = tuple(Kind), author_id: str | None = None, limit: int = 5
) -> list[Hit]:
    """Return the best chunks of all kinds for a query, best first.

    Raises:
        VectorStoreError: Qdrant is down or refused, or its vectors are another model's than the settings name.
    """
    sparse = encode_query(text)
    chosen = chunk_filter(author_ids=[author_id] if author_id else None)
    hits: list[Hit] = []
    with connect(settings) as client:
        targets = aliases(client)
        for kind in kinds:
            alias = embedded_alias(kind)
            if alias not in targets:
                continue  # nothing of this kind was ever embedded
            require_same_model(kind, targets[alias], settings)
            asked = QueryVectors(embed_query(text, kind, settings).tolist(), sparse)
            request = chunk_query([asked], limit, max(limit, settings.retrieval_candidates), settings.rrf_k, chosen)
            [answer] = client.query_batch_points(alias, [request])
            hits.extend(_hit(point) for point in answer.points)
    return sorted(hits, key=lambda hit: hit.score, reverse=True)[:limit]


def chunk_query(
    wordings: Sequence[QueryVectors], limit: int, candidates: int, rrf_k: int, chosen: models.Filter | None = None
) -> models.QueryRequest:
    """Return the one request that searches by every vector of every wording and fuses the rankings.

    Reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009. A single search is not fused and keeps its own
    scores: the cosine, or BM25's.

    Args:
        wordings: Of the question; at least one vector among them.
        limit: Chunks to return, with payload.
        candidates: Chunks of each ranking that take part.
        rrf_k: The constant of the fusion.
        chosen: Which chunks may be found at all.
    """
    from qdrant_client import models

    searches: list[tuple[float, str, Any]] = []
    for wording in wordings:
        if wording.dense is not None:
            searches.append((wording.weight, DENSE, list(wording.dense)))
        if wording.sparse is not None and wording.sparse[0]:
            indices, values = wording.sparse
            searches.append((wording.weight, SPARSE, models.SparseVector(indices=indices, values=values)))
    if not searches:
        raise ValueError("a query needs at least one vector")
    if len(searches) == 1:
        [(_, using, vector)] = searches
        return models.QueryRequest(query=vector, using=using, filter=chosen, limit=limit, with_payload=True)
    weights = [weight for weight, _, _ in searches]
    return models.QueryRequest(
        prefetch=[
            models.Prefetch(query=vector, using=using, filter=chosen, limit=candidates) for _, using, vector in searches
        ],
        query=models.RrfQuery(rrf=models.Rrf(k=rrf_k, weights=weights if len(set(weights)) > 1 else None)),
        limit=limit,
        with_payload=True,
    )


def chunk_filter(
    author_ids: Iterable[str] | None = None,
    platforms: Iterable[str] | None = None,
    published_from: datetime | None = None,
    published_before: datetime | None = None,
) -> models.Filter | None:
    """Return the filter for chunks of these authors, of these platforms and of this time; None where all may be found.

    Every kind carries these fields, so the same filter serves every collection. What has no date is of no time.
    """
    from qdrant_client import models

    must: list[models.Condition] = [
        models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))
        for key, values in (("author_id", author_ids), ("platform", platforms))
        if values is not None
    ]
    if published_from or published_before:
        between = models.DatetimeRange(gte=published_from, lt=published_before)
        must.append(models.FieldCondition(key="published_at", range=between))
    return models.Filter(must=must) if must else None


def require_same_model(kind: Kind, served: str, settings: Settings) -> None:
    """Check that the collection behind a kind's alias holds vectors of the model that the settings name.

    Raises:
        VectorStoreError: It holds another's.
    """
    expected = embedded_collection(kind, handler_for(kind, settings).model_id)
    if served != expected:
        raise VectorStoreError(
            f"{embedded_alias(kind)} still serves {served}, while the settings' model writes to {expected}: once "
            f"`llmtwin cdc --snapshot` has filled that, `llmtwin vectors switch {kind}` moves readers to it"
        )


def _hit(point: models.ScoredPoint) -> Hit:
    payload = point.payload or {}
    return Hit(
        score=point.score,
        kind=Kind(payload["kind"]),
        title=payload["title"],
        link=payload["link"],
        author=payload["author_full_name"],
        content=payload["content"],
        path=payload.get("path"),
        lines=(payload["start_line"], payload["end_line"]) if payload.get("start_line") else None,
    )
