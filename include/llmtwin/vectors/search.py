"""Hybrid search over chunks: meaning (dense) and words (BM25), fused by rank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmtwin.documents import Kind
from llmtwin.features import embed_query, encode_query
from llmtwin.settings import Settings
from llmtwin.vectors.collections import DENSE, SPARSE, embedded_alias
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


def search(
    text: str, settings: Settings, kinds: Iterable[Kind] = tuple(Kind), author_id: str | None = None, limit: int = 5
) -> list[Hit]:
    """Return the best chunks of all kinds for a query, best first.

    Reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009.

    Raises:
        VectorStoreError: Qdrant is down or refused.
    """
    from qdrant_client import models

    indices, values = encode_query(text)
    chosen = None
    if author_id:
        chosen = models.Filter(must=[models.FieldCondition(key="author_id", match=models.MatchValue(value=author_id))])
    hits: list[Hit] = []
    with connect(settings) as client:
        readable = {entry.alias_name for entry in client.get_aliases().aliases}
        for kind in kinds:
            alias = embedded_alias(kind)
            if alias not in readable:
                continue  # nothing of this kind was ever embedded
            dense = [float(number) for number in embed_query(text, kind, settings)]
            prefetch = [
                models.Prefetch(query=dense, using=DENSE, limit=limit * 4, filter=chosen),
                models.Prefetch(
                    query=models.SparseVector(indices=indices, values=values),
                    using=SPARSE,
                    limit=limit * 4,
                    filter=chosen,
                ),
            ]
            answer = client.query_points(
                alias, prefetch=prefetch, query=models.FusionQuery(fusion=models.Fusion.RRF), limit=limit
            )
            hits.extend(_hit(point) for point in answer.points)
    return sorted(hits, key=lambda hit: hit.score, reverse=True)[:limit]


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
