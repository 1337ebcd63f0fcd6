"""Filters select exactly the points they describe, with and without a payload index."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from qdrant_client import QdrantClient, models

pytestmark = pytest.mark.stack

M = models
UUID_A, UUID_B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"

POINTS: dict[int | str, dict[str, object]] = {
    1: {"kind": "post", "n": 1, "score": 0.5, "live": True, "at": "2024-01-01T00:00:00Z", "author": UUID_A},
    2: {"kind": "article", "n": 2, "score": 1.5, "live": False, "at": "2024-06-01T12:00:00+02:00", "author": UUID_B},
    3: {"kind": "記事", "n": 3, "tags": ["a", "b"], "at": "2025-01-01T00:00:00.5Z", "title": "the quick brown fox"},
    UUID_A: {"kind": "🎉", "tags": [], "deep": {"er": {"key": 1}}, "title": "slow green turtle", "n": None},
    UUID_B: {"kind": "post", "n": 1, "parts": [{"x": 1, "y": 2}, {"x": 2, "y": 1}], "live": 1},
}


def field(key: str, **check: object) -> models.FieldCondition:
    return models.FieldCondition(key=key, **check)


def value(key: str, wanted: str | int | bool) -> models.FieldCondition:
    return field(key, match=M.MatchValue(value=wanted))


def must(*conditions: models.Condition) -> models.Filter:
    return models.Filter(must=list(conditions))


CASES: dict[str, tuple[models.Filter, set[int | str]]] = {
    "match": (must(value("kind", "post")), {1, UUID_B}),
    "match CJK": (must(value("kind", "記事")), {3}),
    "match emoji": (must(value("kind", "🎉")), {UUID_A}),
    "match integer": (must(value("n", 1)), {1, UUID_B}),
    "match true": (must(value("live", True)), {1}),
    "match false": (must(value("live", False)), {2}),
    "match 1, not true": (must(value("live", 1)), {UUID_B}),
    "match uuid": (must(value("author", UUID_B)), {2}),
    "match one of a list": (must(value("tags", "b")), {3}),
    "match any": (must(field("kind", match=M.MatchAny(any=["article", "記事", "none"]))), {2, 3}),
    "match any integer": (must(field("n", match=M.MatchAny(any=[2, 3]))), {2, 3}),
    "match except": (must(field("kind", match=M.MatchExcept(**{"except": ["post", "🎉"]}))), {2, 3}),
    "match text": (must(field("title", match=M.MatchText(text="brown quick"))), {3}),
    "range": (must(field("n", range=M.Range(gte=2, lt=3))), {2}),
    "range of floats": (must(field("score", range=M.Range(gt=0.5))), {2}),
    "range of times": (
        must(field("at", range=M.DatetimeRange(gte=datetime(2024, 6, 1, 10, tzinfo=UTC), lt="2025-01-01T00:00:00Z"))),
        {2},
    ),
    "has id": (must(M.HasIdCondition(has_id=[3, UUID_A, 404])), {3, UUID_A}),
    "is empty": (must(M.IsEmptyCondition(is_empty=M.PayloadField(key="tags"))), {1, 2, UUID_A, UUID_B}),
    "is null": (must(M.IsNullCondition(is_null=M.PayloadField(key="n"))), {UUID_A}),
    "nested key": (must(value("deep.er.key", 1)), {UUID_A}),
    "key inside a list": (must(value("parts[].y", 2)), {UUID_B}),
    "nested, same element": (
        must(M.NestedCondition(nested=M.Nested(key="parts", filter=must(value("x", 1), value("y", 2))))),
        {UUID_B},
    ),
    "nested, different elements": (
        must(M.NestedCondition(nested=M.Nested(key="parts", filter=must(value("x", 1), value("y", 1))))),
        set(),
    ),
    "count of values": (must(field("tags", values_count=M.ValuesCount(gte=2))), {3}),
    "should": (M.Filter(should=[value("n", 2), value("n", 3)]), {2, 3}),
    "must not": (M.Filter(must_not=[value("kind", "post")]), {2, 3, UUID_A}),
    "one condition, no list": (M.Filter(must=value("n", 2)), {2}),
    "all three": (
        M.Filter(must=[value("kind", "post")], should=[value("n", 1), value("n", 9)], must_not=[value("live", True)]),
        {UUID_B},
    ),
    "at least two": (
        M.Filter(
            min_should=M.MinShould(conditions=[value("kind", "post"), value("n", 1), value("live", True)], min_count=3)
        ),
        {1},
    ),
    "filter in a filter": (must(M.Filter(should=[value("n", 1), value("n", 2)]), value("live", False)), {2}),
}

INDEXES = {
    "kind": M.PayloadSchemaType.KEYWORD,
    "tags": M.PayloadSchemaType.KEYWORD,
    "n": M.PayloadSchemaType.INTEGER,
    "score": M.PayloadSchemaType.FLOAT,
    "live": M.PayloadSchemaType.BOOL,
    "at": M.PayloadSchemaType.DATETIME,
    "author": M.PayloadSchemaType.UUID,
    "title": M.PayloadSchemaType.TEXT,
}


@pytest.fixture(params=[False, True], ids=["plain", "indexed"])
def library(request: pytest.FixtureRequest, client: QdrantClient, plain: str) -> str:
    if request.param:
        for key, schema in INDEXES.items():
            client.create_payload_index(plain, key, schema)
    client.upsert(plain, [M.PointStruct(id=id_, vector={}, payload=payload) for id_, payload in POINTS.items()])
    return plain


def test_each_filter_selects_its_points(client: QdrantClient, library: str) -> None:
    found = {name: {one.id for one in client.scroll(library, condition)[0]} for name, (condition, _) in CASES.items()}
    if "title" not in client.get_collection(library).payload_schema:
        del found["match text"]  # without an index it means "contains this very text"
        del found["match 1, not true"]
    assert found == {name: CASES[name][1] for name in found}


def test_counting_agrees_with_scrolling(client: QdrantClient, library: str) -> None:
    for condition, _ in CASES.values():
        assert client.count(library, condition).count == len(client.scroll(library, condition)[0])
