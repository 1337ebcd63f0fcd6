"""Bad input: refused with a 4xx in Qdrant's own error shape, nothing written, the server goes on."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from qdrant_client import QdrantClient

pytestmark = pytest.mark.stack

POINT = {"id": 1, "vector": {"dense": [1, 0, 0, 0]}}
DEEP = b"[" * 500 + b"]" * 500


def upsert(*points: Any) -> dict[str, Any]:
    return {"points": list(points)}


def vector(value: Any, name: str = "dense") -> dict[str, Any]:
    # A good point comes first: what is refused must be refused whole.
    return upsert(POINT, {"id": 2, "vector": {name: value}}, {"id": 3, "vector": {}})


def filtered(condition: Any) -> dict[str, Any]:
    return {"filter": {"must": [condition]}}


REQUESTS: list[tuple[str, str, Any]] = [
    ("PUT", "/points", vector([1, 0, 0])),
    ("PUT", "/points", vector([1, 0, 0, "x"])),
    ("PUT", "/points", vector([1, 0, 0, None])),
    ("PUT", "/points", vector([[1, 0, 0, 0]])),
    ("PUT", "/points", vector("text")),
    ("PUT", "/points", vector(None)),
    ("PUT", "/points", vector({"text": "embed me", "model": "some/model"})),
    ("PUT", "/points", vector([1, 0, 0, 0], "unknown")),
    ("PUT", "/points", vector([1, 0, 0, 0], "bm25")),
    ("PUT", "/points", vector({"indices": [1], "values": [1.0]})),
    ("PUT", "/points", vector({"indices": [1, 2], "values": [1.0]}, "bm25")),
    ("PUT", "/points", vector({"indices": [1, 1], "values": [1.0, 2.0]}, "bm25")),
    ("PUT", "/points", vector({"indices": [-1], "values": [1.0]}, "bm25")),
    ("PUT", "/points", vector({"indices": [2**32], "values": [1.0]}, "bm25")),
    ("PUT", "/points", vector({"indices": [[]], "values": [1.0]}, "bm25")),
    ("PUT", "/points", vector({"indices": [1]}, "bm25")),
    ("PUT", "/points", upsert(POINT, {"id": -1, "vector": {}})),
    ("PUT", "/points", upsert(POINT, {"id": 2**64, "vector": {}})),
    ("PUT", "/points", upsert(POINT, {"id": "no uuid", "vector": {}})),
    ("PUT", "/points", upsert(POINT, {"id": 1.5, "vector": {}})),
    ("PUT", "/points", upsert(POINT, {"id": True, "vector": {}})),
    ("PUT", "/points", upsert(POINT, {"vector": {}})),
    ("PUT", "/points", upsert(POINT, {"id": 2})),
    ("PUT", "/points", upsert(POINT, "point")),
    ("PUT", "/points", upsert(POINT, {"id": 2, "vector": {}, "payload": [1]})),
    ("PUT", "/points", {"points": {}}),
    ("PUT", "/points", {}),
    ("PUT", "/points", []),
    ("PUT", "/points", "text"),
    ("PUT", "/points", {**upsert(POINT), "update_mode": "sometimes"}),
    ("PUT", "/points", {**upsert(POINT), "update_filter": {"must": 3}}),
    ("PUT", "/points", {"batch": {"ids": [1, 2], "vectors": {"dense": [[1, 0, 0, 0]]}}}),
    ("PUT", "/points", {"batch": {"ids": [1], "vectors": {"dense": 3}}}),
    ("PUT", "/points", {"batch": {"ids": [1], "vectors": {"dense": [[1, 0, 0, 0]]}, "payloads": []}}),
    ("PUT", "/points", {"batch": {"ids": 1, "vectors": []}}),
    ("PUT", "/points/vectors", upsert({"id": 404, "vector": {"dense": [1, 0, 0, 0]}})),
    ("PUT", "/points/vectors", upsert({"id": 404, "vector": {"dense": [1]}})),
    ("POST", "/points/vectors/delete", {"points": [1], "vector": ["unknown"]}),
    ("POST", "/points/payload", {"payload": {"a": 1}, "points": [404]}),
    ("POST", "/points/payload", {"payload": {"a": 1}}),
    ("POST", "/points/payload", {"payload": 1, "points": [1]}),
    ("POST", "/points/payload", {"payload": {}, "filter": {}, "key": "a[[", "points": [1]}),
    ("POST", "/points/payload/delete", {"keys": ["[["], "points": [1]}),
    ("POST", "/points/delete", {}),
    ("POST", "/points/delete", {"points": ["no uuid"]}),
    ("POST", "/points/delete", {"filter": {"mustt": []}}),
    ("POST", "/points/batch", {"operations": [{"explode": {}}]}),
    ("POST", "/points/batch", {"operations": [{"upsert": 1}]}),
    ("POST", "/points/batch", {"operations": 1}),
    ("POST", "/points/batch", {"operations": [{"upsert": upsert(POINT)}, {"delete": {}}]}),
    ("POST", "/points", {"ids": ["no uuid"]}),
    ("POST", "/points", {"ids": [1], "with_vector": ["unknown"]}),
    ("POST", "/points", {}),
    ("GET", "/points/404", None),
    ("GET", "/points/not-an-id", None),
    ("GET", "/points/²", None),
    ("POST", "/points/scroll", {"limit": 0}),
    ("POST", "/points/scroll", {"limit": -1}),
    ("POST", "/points/scroll", {"limit": 2**70}),
    ("POST", "/points/scroll", {"offset": "no uuid"}),
    ("POST", "/points/scroll", {"order_by": "not_indexed"}),
    ("POST", "/points/scroll", {"order_by": "a", "offset": 1}),
    ("POST", "/points/scroll", filtered({"key": "a"})),
    ("POST", "/points/scroll", filtered({"key": "a[[", "match": {"value": 1}})),
    ("POST", "/points/scroll", filtered({"key": "a", "match": {"value": 1.5}})),
    ("POST", "/points/scroll", filtered({"key": "a", "match": {"value": 2**70}})),
    ("POST", "/points/scroll", filtered({"key": "a", "match": {"any": [1, "x"]}})),
    ("POST", "/points/scroll", filtered({"key": "a", "range": {"gte": "yesterday"}})),
    ("POST", "/points/scroll", filtered({"has_id": ["no uuid"]})),
    ("POST", "/points/scroll", filtered({"unknown": 1})),
    ("POST", "/points/scroll", filtered({"key": "g", "geo_radius": {"center": {"lon": 999, "lat": 0}, "radius": 1}})),
    ("POST", "/points/count", {"filter": {"must": "x"}}),
    ("POST", "/facet", {"key": "[["}),
    ("POST", "/facet", {}),
    ("POST", "/points/query", {"query": [1.0], "using": "dense"}),
    ("POST", "/points/query", {"query": [1.0, 0, 0, 0]}),
    ("POST", "/points/query", {"query": [1.0, 0, 0, 0], "using": "unknown"}),
    ("POST", "/points/query", {"query": [1.0, 0, 0, 0], "using": "bm25"}),
    ("POST", "/points/query", {"query": {"indices": [1], "values": [1.0]}, "using": "dense"}),
    ("POST", "/points/query", {"query": {"indices": [1], "values": []}, "using": "bm25"}),
    ("POST", "/points/query", {"query": {"indices": [1, 1], "values": [1, 1]}, "using": "bm25"}),
    ("POST", "/points/query", {"query": [[1.0, 0, 0, 0]], "using": "dense"}),
    ("POST", "/points/query", {"query": "no uuid", "using": "dense"}),
    ("POST", "/points/query", {"query": {"fusion": "rrf"}}),
    ("POST", "/points/query", {"query": {"fusion": "magic"}}),
    ("POST", "/points/query", {"query": {"rrf": {"k": 0}}, "prefetch": [{"query": [1, 0, 0, 0], "using": "dense"}]}),
    ("POST", "/points/query", {"query": {"rrf": {"k": -1}}, "prefetch": [{"query": [1, 0, 0, 0], "using": "dense"}]}),
    ("POST", "/points/query", {"query": {"order_by": "not_indexed"}}),
    ("POST", "/points/query", {"query": {"text": "words", "model": "some/model"}, "using": "dense"}),
    ("POST", "/points/query", {"query": [1, 0, 0, 0], "using": "dense", "limit": -1}),
    ("POST", "/points/query", {"query": [1, 0, 0, 0], "using": "dense", "offset": -1}),
    ("POST", "/points/query", {"query": [1, 0, 0, 0], "using": "dense", "with_vector": ["unknown"]}),
    ("POST", "/points/query/batch", {"searches": [{"query": [1.0], "using": "dense"}]}),
    ("POST", "/points/query/groups", {"query": [1, 0, 0, 0], "using": "dense", "group_by": "a"}),
    ("PUT", "/index", {"field_name": "a[[", "field_schema": "keyword"}),
    ("PUT", "/index", {"field_name": "a", "field_schema": "magic"}),
    ("PUT", "/index", {"field_name": "a"}),
    ("PUT", "/index", {}),
    ("DELETE", "/points", None),
    ("GET", "/nowhere", None),
]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS, ids=lambda value: str(value)[:60])
def test_is_refused_and_changes_nothing(
    client: QdrantClient, local_url: str, hybrid: str, method: str, path: str, body: Any
) -> None:
    if client._client.rest_uri != local_url:
        pytest.skip("what the real server refuses is its own affair")
    answer = httpx.request(method, f"{local_url}/collections/{hybrid}{path}", params={"wait": "true"}, json=body)

    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["status"]["error"]
    assert client.count(hybrid).count == 0


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b'{"points": [{"id": 1, "vector": {"dense": [NaN, 0, 0, 0]}}]}', 400),
        (b'{"points": [{"id": 1, "vector": {"dense": [1e999, 0, 0, 0]}}]}', 400),
        (b'{"points": [{"id": 1, "vector": {"dense": [1e39, 0, 0, 0]}}]}', 400),
        (b'{"points": [{"id": 1, "vector": {}, "payload": {"a": ' + DEEP + b"}}]}", 400),
        (b'{"points": [{"id": 1, "vector": {}, "payload": {"a": "\xff"}}]}', 400),
        (b'{"points": [{"id": 1, "vector": {}, "payload": {"a": "\\ud800"}}]}', 400),
        (b"[" * 100_000, 400),
        (b" " * (32 * 1024 * 1024 + 1), 413),
    ],
    ids=["cut off", "NaN", "infinite", "infinite as float32", "deep", "not UTF-8", "surrogate", "brackets", "large"],
)
def test_bytes_that_cannot_be_read(
    client: QdrantClient, local_url: str, hybrid: str, content: bytes, status: int
) -> None:
    answer = httpx.put(
        f"{local_url}/collections/{hybrid}/points",
        params={"wait": "true"},
        content=content,
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == status, answer.text
    assert answer.json()["status"]["error"]
    assert client.get_collection(hybrid).points_count == 0


def test_a_deep_filter_is_refused(local_url: str, hybrid: str) -> None:
    content = b'{"filter":' + b'{"must":[' * 400 + b'{"key":"a","match":{"value":1}}' + b"]}" * 400 + b"}"
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{local_url}/collections/{hybrid}/points/scroll", content=content, headers=headers)
    assert answer.status_code == 400


def test_a_request_under_a_foreign_name_is_refused(local_url: str) -> None:
    answer = httpx.get(f"{local_url}/collections", headers={"host": "rebound.example"})
    assert answer.status_code == 403
    named = local_url.replace("127.0.0.1", "localhost")
    assert httpx.get(f"{local_url}/collections", headers={"host": named.removeprefix("http://")}).status_code == 200


def test_only_json_is_taken(local_url: str, hybrid: str) -> None:
    answer = httpx.post(
        f"{local_url}/collections/{hybrid}/points/delete",
        content=b'{"filter": {}}',
        headers={"content-type": "text/plain"},
    )
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "config",
    [
        {"vectors": {"size": 0, "distance": "Cosine"}},
        {"vectors": {"size": -1, "distance": "Cosine"}},
        {"vectors": {"size": 2**40, "distance": "Cosine"}},
        {"vectors": {"size": 4, "distance": "Magic"}},
        {"vectors": {"size": 4}},
        {"vectors": {"a": {"size": 4, "distance": "Dot"}}, "sparse_vectors": {"a": {}}},
        {"vectors": [], "unknown": 1},
    ],
    ids=str,
)
def test_collections_that_cannot_be(local_url: str, config: Any) -> None:
    answer = httpx.put(f"{local_url}/collections/impossible", json=config)
    assert 400 <= answer.status_code < 500, answer.text
    assert httpx.get(f"{local_url}/collections/impossible").status_code == 404


@pytest.mark.parametrize("name", ["a" * 256, "a%3Ab", "a%00b", "%3Cscript%3E"])
def test_names_that_are_not_allowed(local_url: str, name: str) -> None:
    answer = httpx.put(f"{local_url}/collections/{name}", json={})
    assert 400 <= answer.status_code < 500
    assert answer.json()["status"]["error"]
