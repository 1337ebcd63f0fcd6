"""Points: written, read, changed, deleted, scrolled, counted."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

pytestmark = pytest.mark.stack

TEXTS = {
    "title": "漢字かな交じり文",
    "mood": "🎉👩‍👩‍👧",
    "accents": "naïve façade",
    "code": '\tif x:\n\t\treturn "\\"\n',
}


def point(id_: int | str, **payload: object) -> models.PointStruct:
    return models.PointStruct(id=id_, vector={}, payload=payload)


def key(name: str, value: str | int) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=name, match=models.MatchValue(value=value))])


def test_points_come_back_as_they_went_in(client: QdrantClient, hybrid: str) -> None:
    uuid = str(uuid4())
    sparse = models.SparseVector(indices=[7, 1], values=[0.5, 2.0])
    nested = {"list": [1, "two", None, {"three": 3.5}], "big": 2**63 - 1, "flag": True, "empty": {}}
    client.upsert(
        hybrid,
        [
            models.PointStruct(id=2**64 - 1, vector={"dense": [0, 0, 3, 4], "bm25": sparse}, payload=TEXTS),
            models.PointStruct(id=uuid, vector={"dense": [1, 0, 0, 0]}, payload=nested),
            models.PointStruct(id=3, vector={}, payload=None),
        ],
    )

    found = {one.id: one for one in client.retrieve(hybrid, [2**64 - 1, uuid, 3, 404], with_vectors=True)}

    assert found.keys() == {2**64 - 1, uuid, 3}
    assert found[2**64 - 1].payload == TEXTS
    vectors = found[2**64 - 1].vector
    assert isinstance(vectors, dict)
    assert vectors["dense"] == pytest.approx([0, 0, 0.6, 0.8])  # cosine collections store unit vectors
    assert isinstance(vectors["bm25"], models.SparseVector)
    assert dict(zip(vectors["bm25"].indices, vectors["bm25"].values, strict=True)) == {7: 0.5, 1: 2.0}
    assert found[uuid].payload == nested
    assert found[3].payload == {}
    assert client.retrieve(hybrid, [uuid], with_payload=["flag", "list"])[0].payload == {
        "flag": True,
        "list": nested["list"],
    }
    only_dense = client.retrieve(hybrid, [2**64 - 1], with_vectors=["dense"])[0].vector
    assert isinstance(only_dense, dict)
    assert only_dense.keys() == {"dense"}


def test_one_unnamed_vector(client: QdrantClient, make_collection: Callable[..., str]) -> None:
    name = make_collection(models.VectorParams(size=2, distance=models.Distance.DOT))
    client.upsert(name, [models.PointStruct(id=i, vector=[i, 1]) for i in range(3)])
    assert client.retrieve(name, [2], with_vectors=True)[0].vector == [2.0, 1.0]
    assert [one.id for one in client.query_points(name, query=[1.0, 0.0]).points] == [2, 1, 0]


def test_a_batch_by_columns(client: QdrantClient, hybrid: str) -> None:
    dense = [[1.0, 0, 0, 0], [0, 1.0, 0, 0]]
    sparse = [models.SparseVector(indices=[i], values=[1.0]) for i in range(2)]
    payloads = [{"n": 0}, {"n": 1}]
    client.upsert(hybrid, models.Batch(ids=[1, 2], vectors={"dense": dense, "bm25": sparse}, payloads=payloads))

    found = client.retrieve(hybrid, [1, 2], with_vectors=True)
    assert [one.payload for one in found] == payloads
    assert [one.vector["dense"] for one in found if isinstance(one.vector, dict)] == dense


def test_an_upsert_replaces_the_whole_point(client: QdrantClient, hybrid: str) -> None:
    client.upsert(hybrid, [models.PointStruct(id=1, vector={"dense": [1, 0, 0, 0]}, payload={"a": 1})])
    client.upsert(hybrid, [models.PointStruct(id=1, vector={}, payload={"b": 2})])
    found = client.retrieve(hybrid, [1], with_vectors=True)[0]
    assert (found.payload, found.vector) == ({"b": 2}, {})


def test_a_conditional_upsert_leaves_newer_points_alone(client: QdrantClient, plain: str) -> None:
    client.upsert(plain, [point(1, version=5), point(2, version=1)])
    older = models.Filter(must=[models.FieldCondition(key="version", range=models.Range(lt=3))])
    client.upsert(plain, [point(1, version=3), point(2, version=3), point(3, version=3)], update_filter=older)
    assert {one.id: one.payload for one in client.scroll(plain)[0]} == {
        1: {"version": 5},
        2: {"version": 3},
        3: {"version": 3},
    }


def test_payloads_change_by_id_and_by_filter(client: QdrantClient, plain: str) -> None:
    client.upsert(plain, [point(i, kind="post", n=i, deep={"a": 1}) for i in (1, 2, 3)])

    client.set_payload(plain, {"lang": "日本語"}, points=[1])
    client.set_payload(plain, {"b": 2}, points=[1], key="deep")
    client.overwrite_payload(plain, {"only": "this"}, points=[2])
    client.delete_payload(plain, ["n"], points=key("n", 3))
    payloads = {one.id: one.payload for one in client.scroll(plain)[0]}
    assert payloads[1] == {"kind": "post", "n": 1, "lang": "日本語", "deep": {"a": 1, "b": 2}}
    assert payloads[2] == {"only": "this"}
    assert payloads[3] == {"kind": "post", "deep": {"a": 1}}

    client.clear_payload(plain, [1])
    client.set_payload(plain, {"again": True}, points=key("only", "this"))
    payloads = {one.id: one.payload for one in client.scroll(plain)[0]}
    assert payloads[1] == {}
    assert payloads[2] == {"only": "this", "again": True}


def test_vectors_change_alone(client: QdrantClient, hybrid: str) -> None:
    client.upsert(hybrid, [models.PointStruct(id=1, vector={"dense": [1, 0, 0, 0]}, payload={"a": 1})])
    sparse = models.SparseVector(indices=[3], values=[1.0])
    client.update_vectors(hybrid, [models.PointVectors(id=1, vector={"dense": [0, 1, 0, 0], "bm25": sparse})])
    found = client.retrieve(hybrid, [1], with_vectors=True)[0]
    assert (found.vector, found.payload) == ({"dense": [0, 1, 0, 0], "bm25": sparse}, {"a": 1})

    client.delete_vectors(hybrid, ["bm25"], [1])
    assert client.retrieve(hybrid, [1], with_vectors=True)[0].vector == {"dense": [0, 1, 0, 0]}


def test_changing_a_missing_point_is_not_found(client: QdrantClient, plain: str) -> None:
    with pytest.raises(UnexpectedResponse) as refused:
        client.set_payload(plain, {"a": 1}, points=[404])
    assert refused.value.status_code == 404
    client.delete(plain, models.PointIdsList(points=[404]))  # deleting what is gone is fine


def test_points_go_by_id_and_by_filter(client: QdrantClient, plain: str) -> None:
    uuids = [str(uuid4()) for _ in range(3)]
    client.upsert(plain, [point(uuid, document="d1", version=v) for v, uuid in enumerate(uuids)])
    client.upsert(plain, [point(1, document="d2", version=0)])
    stale = models.Filter(
        must=[
            models.FieldCondition(key="document", match=models.MatchValue(value="d1")),
            models.FieldCondition(key="version", range=models.Range(lt=2)),
        ]
    )
    client.delete(plain, models.FilterSelector(filter=stale))
    assert {one.id for one in client.scroll(plain)[0]} == {uuids[2], 1}
    client.delete(plain, models.PointIdsList(points=[uuids[2]]))
    assert client.count(plain).count == 1


def test_a_batch_of_operations_runs_in_order(client: QdrantClient, hybrid: str) -> None:
    results = client.batch_update_points(
        hybrid,
        [
            models.UpsertOperation(
                upsert=models.PointsList(points=[models.PointStruct(id=i, vector={}, payload={"n": i}) for i in (1, 2)])
            ),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"seen": True}, points=[1, 2])),
            models.UpdateVectorsOperation(
                update_vectors=models.UpdateVectors(points=[models.PointVectors(id=1, vector={"dense": [1, 0, 0, 0]})])
            ),
            models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["n"], points=[1])),
            models.DeleteOperation(delete=models.PointIdsList(points=[2])),
        ],
    )
    assert [one.status for one in results] == [models.UpdateStatus.COMPLETED] * 5
    found = client.scroll(hybrid, with_vectors=True)[0]
    assert [(one.id, one.payload, one.vector) for one in found] == [(1, {"seen": True}, {"dense": [1, 0, 0, 0]})]


def test_scrolling_visits_every_point_once(client: QdrantClient, plain: str) -> None:
    ids = [*range(150), *(str(uuid4()) for _ in range(107))]
    client.upsert(plain, [point(one, n=n) for n, one in enumerate(ids)])

    seen: list[int | str] = []
    offset, pages = None, 0
    while True:
        records, offset = client.scroll(plain, limit=50, offset=offset, with_payload=False)
        seen += [one.id for one in records]
        pages += 1
        if offset is None:
            break
    assert pages == 6
    assert len(seen) == len(ids)
    assert set(seen) == set(ids)


def test_scrolling_in_the_order_of_a_field(client: QdrantClient, plain: str) -> None:
    client.create_payload_index(plain, "at", models.PayloadSchemaType.DATETIME)
    client.upsert(plain, [point(i, at=f"2024-01-{10 + (i * 7) % 10:02}T00:00:00Z") for i in range(10)])
    newest = models.OrderBy(key="at", direction=models.Direction.DESC)
    records, offset = client.scroll(plain, limit=3, order_by=newest)
    assert [one.payload["at"][:10] for one in records if one.payload] == ["2024-01-19", "2024-01-18", "2024-01-17"]
    assert offset is None


def test_count_and_facet(client: QdrantClient, plain: str) -> None:
    client.create_payload_index(plain, "kind", models.PayloadSchemaType.KEYWORD)
    client.upsert(plain, [point(i, kind=["post", "article", "repository"][i % 3], odd=i % 2) for i in range(10)])
    assert client.count(plain).count == 10
    assert client.count(plain, count_filter=key("kind", "post")).count == 4
    hits = client.facet(plain, "kind", facet_filter=key("odd", 0), exact=True).hits
    assert {hit.value: hit.count for hit in hits} == {"post": 2, "article": 1, "repository": 2}


def test_twenty_thousand_points(client: QdrantClient, plain: str) -> None:
    for start in range(0, 20_000, 1_000):
        client.upsert(plain, [point(i, n=i, third=i % 3) for i in range(start, start + 1_000)], wait=False)
    client.upsert(plain, [point(20_000, n=20_000, third=0)], wait=True)
    assert client.count(plain).count == 20_001
    assert client.count(plain, count_filter=key("third", 1)).count == 6_667
    assert client.get_collection(plain).points_count == 20_001
