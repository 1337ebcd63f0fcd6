"""Hybrid search over chunks: meaning (dense) and words (BM25), fused by rank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

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


def search(
    text: str, settings: Settings, kinds: Iterable[Kind] = tuple(Kind), author_id: str | None = None, limit: int = 5
) -> list[Hit]:
    """Return the best chunks of all kinds for a query, best first.

    Reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009.

    Raises:
        VectorStoreError: Qdrant is down or refused, or its vectors are another model's than the settings name.
    """
    from qdrant_client import models

    indices, values = encode_query(text)
    chosen = None
    if author_id:
        chosen = models.Filter(must=[models.FieldCondition(key="author_id", match=models.MatchValue(value=author_id))])
    hits: list[Hit] = []
    with connect(settings) as client:
        targets = aliases(client)
        for kind in kinds:
            alias = embedded_alias(kind)
            if alias not in targets:
                continue  # nothing of this kind was ever embedded
            _require_same_model(kind, targets[alias], settings)
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


def _require_same_model(kind: Kind, served: str, settings: Settings) -> None:
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
