"""Queries: from REST's models to the engine's requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qdrant_edge as edge
from qdrant_client.http import models

from llmtwin.local.qdrant.config import VectorSchema
from llmtwin.local.qdrant.errors import WrongInputError
from llmtwin.local.qdrant.filters import engine_filter, excluding
from llmtwin.local.qdrant.ids import PointId, point_id
from llmtwin.local.qdrant.points import checked_vector

DEFAULT_LIMIT = 10
RRF_K = 2  # Qdrant's default


@dataclass(frozen=True)
class QueryReader:
    """Reads the queries of one collection.

    Attributes:
        schema: The vectors that the collection has.
        stored_vector: Gives a point's vector of a name; for queries by example.
    """

    schema: VectorSchema
    stored_vector: Callable[[PointId, str], Any]

    def request(self, asked: models.QueryRequest) -> edge.QueryRequest:
        """Return the engine's request.

        Raises:
            RequestError: The query does not fit the collection or is of a kind that is not offered.
        """
        limit = DEFAULT_LIMIT if asked.limit is None else asked.limit
        query, examples = self._scoring(asked, limit)
        return edge.QueryRequest(
            limit=limit,
            offset=asked.offset or 0,
            query=query,
            prefetches=self._prefetches(asked),
            filter=excluding(engine_filter(asked.filter), examples),
            score_threshold=asked.score_threshold,
            params=_params(asked.params),
            with_payload=payload_selector(asked.with_payload, default=False),
            with_vector=vector_selector(asked.with_vector, self.schema),
        )

    def _prefetches(self, asked: models.QueryRequest | models.Prefetch) -> list[edge.Prefetch]:
        nested = asked.prefetch or []
        return [self._prefetch(one) for one in (nested if isinstance(nested, list) else [nested])]

    def _prefetch(self, asked: models.Prefetch) -> edge.Prefetch:
        limit = DEFAULT_LIMIT if asked.limit is None else asked.limit
        query, examples = self._scoring(asked, limit)
        return edge.Prefetch(
            limit=limit,
            query=query,
            prefetches=self._prefetches(asked),
            filter=excluding(engine_filter(asked.filter), examples),
            score_threshold=asked.score_threshold,
            params=_params(asked.params),
        )

    def _scoring(self, asked: models.QueryRequest | models.Prefetch, limit: int) -> tuple[Any, list[PointId]]:
        """Return what scores the points, and the points that were its examples."""
        if asked.lookup_from is not None:
            raise WrongInputError("the local server has no lookup_from")
        using = asked.using or ""
        match asked.query:
            case None:
                return None, []
            case models.FusionQuery(fusion=models.Fusion.RRF):
                return edge.Fusion.Rrf(k=RRF_K), []
            case models.FusionQuery():
                return edge.Fusion.Dbsf(), []
            case models.RrfQuery(rrf=rrf):
                if rrf.k is not None and rrf.k < 1:
                    raise WrongInputError("Validation error: rrf.k must be 1 or larger")
                return edge.Fusion.Rrf(k=rrf.k or RRF_K, weights=rrf.weights), []
            case models.OrderByQuery(order_by=order_by):
                return engine_order(order_by), []
            case models.SampleQuery():
                return edge.Sample.Random, []
            case models.NearestQuery(nearest=nearest, mmr=None):
                vector, examples = self._vector(nearest, using)
                return edge.Query.Nearest(vector, using), examples
            case models.NearestQuery(nearest=nearest, mmr=models.Mmr() as mmr):
                vector, examples = self._vector(nearest, using)
                diversity = 0.5 if mmr.diversity is None else mmr.diversity
                candidates = limit if mmr.candidates_limit is None else mmr.candidates_limit
                return edge.Mmr(vector, 1.0 - diversity, candidates, using), examples
            case list() | models.SparseVector() | int() | str() as nearest:
                vector, examples = self._vector(nearest, using)
                return edge.Query.Nearest(vector, using), examples
        raise WrongInputError(f"the local server has no {type(asked.query).__name__}")

    def _vector(self, asked: Any, using: str) -> tuple[Any, list[PointId]]:
        match asked:
            case list():
                return checked_vector(using, asked, self.schema), []
            case models.SparseVector():
                return checked_vector(using, asked.model_dump(), self.schema), []
            case int() | str():
                example = point_id(asked)
                return self.stored_vector(example, vector_selector([using], self.schema)[0]), [example]
        raise WrongInputError("the local server has no inference: send a vector")


def engine_order(asked: str | models.OrderBy) -> edge.OrderBy:
    """Return the engine's form of ``order_by``."""
    if isinstance(asked, str):
        return edge.OrderBy(asked)
    start = asked.start_from
    return edge.OrderBy(
        asked.key,
        direction=edge.Direction.Desc if asked.direction == models.Direction.DESC else edge.Direction.Asc,
        start_from=start if isinstance(start, int | float | None) else start.isoformat(),
    )


def payload_selector(asked: Any, *, default: bool) -> Any:
    """Return the engine's form of ``with_payload``."""
    match asked:
        case None:
            return default
        case models.PayloadSelectorInclude():
            return edge.PayloadSelector.Include(asked.include)
        case models.PayloadSelectorExclude():
            return edge.PayloadSelector.Exclude(asked.exclude)
    return asked


def vector_selector(asked: bool | list[str] | None, schema: VectorSchema) -> Any:
    """Return the engine's form of ``with_vector``.

    Raises:
        WrongInputError: The collection has no vector of a name; the engine notices only where it finds a point.
    """
    for name in asked if isinstance(asked, list) else []:
        if name not in schema.dense and name not in schema.sparse:
            raise WrongInputError(f"Not existing vector name error: {name}")
    return asked or False


def _params(asked: models.SearchParams | None) -> edge.SearchParams | None:
    if asked is None:
        return None
    return edge.SearchParams(
        hnsw_ef=asked.hnsw_ef, exact=asked.exact or False, indexed_only=asked.indexed_only or False
    )
