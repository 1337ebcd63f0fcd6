"""Queries: nearest neighbours, sparse, by example, filtered, paged, fused."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

pytestmark = pytest.mark.stack

DRAW = random.Random(7)
DENSE = {i: [DRAW.gauss(0, 1) for _ in range(4)] for i in range(60)}
TERMS = {i: sorted(DRAW.sample(range(20), 4)) for i in range(60)}
QUERY = [0.3, -0.2, 0.9, 0.1]
QUERY_TERMS = models.SparseVector(indices=[11, 2, 5], values=[1.0, 1.0, 1.0])


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


BY_COSINE = sorted(DENSE, key=lambda i: -cosine(DENSE[i], QUERY))


@pytest.fixture
def filled(client: QdrantClient, hybrid: str) -> str:
    client.upsert(
        hybrid,
        [
            models.PointStruct(
                id=i,
                vector={
                    "dense": DENSE[i],
                    "bm25": models.SparseVector(indices=TERMS[i], values=[1.0 + i / 100] * len(TERMS[i])),
                },
                payload={"i": i, "even": i % 2 == 0, "text": "文" * i},
            )
            for i in DENSE
        ],
    )
    return hybrid


def ids(answer: models.QueryResponse) -> list[int | str]:
    return [one.id for one in answer.points]


def test_nearest_by_cosine(client: QdrantClient, filled: str) -> None:
    answer = client.query_points(filled, query=QUERY, using="dense", limit=10)
    assert ids(answer) == BY_COSINE[:10]
    assert [one.score for one in answer.points] == pytest.approx([cosine(DENSE[i], QUERY) for i in BY_COSINE[:10]])


def test_nearest_with_numbers_that_are_whole(client: QdrantClient, filled: str) -> None:
    assert ids(client.query_points(filled, query=[1, 0, 0, 0], using="dense", limit=5)) == ids(
        client.query_points(filled, query=[1.0, 0.0, 0.0, 0.0], using="dense", limit=5)
    )


def test_paging_and_threshold(client: QdrantClient, filled: str) -> None:
    second = client.query_points(filled, query=QUERY, using="dense", limit=10, offset=10)
    assert ids(second) == BY_COSINE[10:20]
    above = client.query_points(filled, query=QUERY, using="dense", limit=60, score_threshold=0.5)
    assert ids(above) == [i for i in BY_COSINE if cosine(DENSE[i], QUERY) > 0.5]


def test_what_comes_with_a_hit(client: QdrantClient, filled: str) -> None:
    bare = client.query_points(filled, query=QUERY, using="dense", limit=1, with_payload=False).points[0]
    assert (bare.payload, bare.vector) == (None, None)
    some = client.query_points(filled, query=QUERY, using="dense", limit=1, with_payload=["i"]).points[0]
    assert some.payload == {"i": some.id}
    without = models.PayloadSelectorExclude(exclude=["text"])
    most = client.query_points(filled, query=QUERY, using="dense", limit=1, with_payload=without, with_vectors=True)
    assert most.points[0].payload is not None
    assert most.points[0].payload.keys() == {"i", "even"}
    vectors = most.points[0].vector
    assert isinstance(vectors, dict)
    assert vectors.keys() == {"dense", "bm25"}


def test_filtered(client: QdrantClient, filled: str) -> None:
    even = models.Filter(must=[models.FieldCondition(key="even", match=models.MatchValue(value=True))])
    answer = client.query_points(filled, query=QUERY, using="dense", query_filter=even, limit=10)
    assert ids(answer) == [i for i in BY_COSINE if i % 2 == 0][:10]


def test_sparse_with_idf(client: QdrantClient, filled: str) -> None:
    answer = client.query_points(filled, query=QUERY_TERMS, using="bm25", limit=60)

    # Qdrant's IDF: ln(1 + (N - n + 0.5) / (n + 0.5)), N points with the vector, n of them with the term.
    holders = {term: sum(term in TERMS[i] for i in TERMS) for term in QUERY_TERMS.indices}
    idf = {term: math.log(1 + (len(TERMS) - n + 0.5) / (n + 0.5)) for term, n in holders.items()}
    scores = {i: (1 + i / 100) * sum(idf[t] for t in QUERY_TERMS.indices if t in TERMS[i]) for i in TERMS}
    expected = {i: score for i, score in scores.items() if score > 0}
    assert {one.id: one.score for one in answer.points} == pytest.approx(expected, rel=1e-5)


def test_by_example(client: QdrantClient, filled: str) -> None:
    answer = client.query_points(filled, query=5, using="dense", limit=60)
    assert ids(answer) == sorted((i for i in DENSE if i != 5), key=lambda i: -cosine(DENSE[i], DENSE[5]))
    with pytest.raises(UnexpectedResponse) as refused:
        client.query_points(filled, query=404, using="dense")
    assert refused.value.status_code == 404


def prefetches(limit: int = 20) -> list[models.Prefetch]:
    return [
        models.Prefetch(query=QUERY, using="dense", limit=limit),
        models.Prefetch(query=QUERY_TERMS, using="bm25", limit=limit),
    ]


def rankings(client: QdrantClient, collection: str, limit: int = 20) -> list[list[models.ScoredPoint]]:
    return [
        client.query_points(collection, query=one.query, using=one.using, limit=limit).points for one in prefetches()
    ]


@pytest.mark.parametrize(
    ("query", "k", "weights"),
    [
        (models.FusionQuery(fusion=models.Fusion.RRF), 2, [1.0, 1.0]),
        (models.RrfQuery(rrf=models.Rrf(k=60)), 60, [1.0, 1.0]),
        (models.RrfQuery(rrf=models.Rrf(k=60, weights=[3.0, 1.0])), 60, [3.0, 1.0]),
    ],
)
def test_reciprocal_rank_fusion(
    client: QdrantClient, filled: str, query: models.Query, k: int, weights: list[float]
) -> None:
    # Qdrant divides the rank by the weight, not the score: with weight 1 it is the usual 1 / (k + rank).
    expected: dict[int | str, float] = defaultdict(float)
    for weight, ranking in zip(weights, rankings(client, filled), strict=True):
        for rank, one in enumerate(ranking):
            expected[one.id] += 1 / ((rank + 1) / weight + k - 1)

    answer = client.query_points(filled, prefetch=prefetches(), query=query, limit=100)

    assert {one.id: one.score for one in answer.points} == pytest.approx(expected, rel=1e-5)
    assert [one.score for one in answer.points] == sorted((one.score for one in answer.points), reverse=True)


def test_distribution_based_fusion(client: QdrantClient, filled: str) -> None:
    expected: dict[int | str, float] = defaultdict(float)
    for ranking in rankings(client, filled):
        scores = [one.score for one in ranking]
        mean = sum(scores) / len(scores)
        deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / (len(scores) - 1))
        low, high = mean - 3 * deviation, mean + 3 * deviation
        for one in ranking:
            expected[one.id] += (one.score - low) / (high - low)

    fusion = models.FusionQuery(fusion=models.Fusion.DBSF)
    answer = client.query_points(filled, prefetch=prefetches(), query=fusion, limit=100)
    assert {one.id: one.score for one in answer.points} == pytest.approx(expected, rel=1e-4)


def test_a_prefetch_is_rescored_by_the_query_over_it(client: QdrantClient, filled: str) -> None:
    candidates = {one.id for one in rankings(client, filled, limit=8)[1]}
    answer = client.query_points(
        filled, prefetch=models.Prefetch(query=QUERY_TERMS, using="bm25", limit=8), query=QUERY, using="dense"
    )
    assert ids(answer) == [i for i in BY_COSINE if i in candidates]


def test_a_batch_answers_in_order(client: QdrantClient, filled: str) -> None:
    requests = [models.QueryRequest(query=DENSE[i], using="dense", limit=1) for i in (3, 1, 2)]
    assert [ids(one) for one in client.query_batch_points(filled, requests)] == [[3], [1], [2]]


def test_without_a_query_points_come_in_the_order_of_ids_or_of_a_field(client: QdrantClient, filled: str) -> None:
    assert ids(client.query_points(filled, limit=5)) == [0, 1, 2, 3, 4]
    client.create_payload_index(filled, "i", models.PayloadSchemaType.INTEGER)
    order = models.OrderByQuery(order_by=models.OrderBy(key="i", direction=models.Direction.DESC))
    assert ids(client.query_points(filled, query=order, limit=3)) == [59, 58, 57]


def test_diversity_changes_what_is_found(client: QdrantClient, filled: str) -> None:
    def with_diversity(diversity: float) -> list[int | str]:
        mmr = models.Mmr(diversity=diversity, candidates_limit=30)
        return ids(
            client.query_points(filled, query=models.NearestQuery(nearest=QUERY, mmr=mmr), using="dense", limit=5)
        )

    assert with_diversity(0.0) == BY_COSINE[:5]
    assert with_diversity(1.0) != BY_COSINE[:5]
    assert with_diversity(1.0)[0] == BY_COSINE[0]
