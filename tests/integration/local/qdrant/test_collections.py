"""Collections, aliases and payload indexes."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

pytestmark = pytest.mark.stack


def point(id_: int, **payload: object) -> models.PointStruct:
    return models.PointStruct(id=id_, vector={}, payload=payload)


def create_alias(alias: str, collection: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(alias_name=alias, collection_name=collection))


def delete_alias(alias: str) -> models.DeleteAliasOperation:
    return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))


def test_a_collection_describes_itself(client: QdrantClient, hybrid: str) -> None:
    info = client.get_collection(hybrid)

    assert info.status == models.CollectionStatus.GREEN
    assert info.points_count == 0
    assert info.config.params.vectors == {"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)}
    assert info.config.params.sparse_vectors is not None
    assert info.config.params.sparse_vectors["bm25"].modifier == models.Modifier.IDF


def test_chosen_parameters_are_given_back(client: QdrantClient) -> None:
    name = f"test_{uuid4().hex}"
    client.create_collection(
        name,
        vectors_config=models.VectorParams(
            size=3, distance=models.Distance.DOT, on_disk=True, datatype=models.Datatype.FLOAT16
        ),
        hnsw_config=models.HnswConfigDiff(m=8, ef_construct=64),
    )
    try:
        config = client.get_collection(name).config
        assert isinstance(config.params.vectors, models.VectorParams)
        assert (config.params.vectors.size, config.params.vectors.distance) == (3, models.Distance.DOT)
        assert config.params.vectors.datatype == models.Datatype.FLOAT16
        assert (config.hnsw_config.m, config.hnsw_config.ef_construct) == (8, 64)
    finally:
        client.delete_collection(name)


def test_create_list_exists_delete(client: QdrantClient) -> None:
    name = f"test_{uuid4().hex}"
    assert not client.collection_exists(name)
    assert client.create_collection(name, vectors_config={})
    assert client.collection_exists(name)
    assert name in {one.name for one in client.get_collections().collections}
    assert client.delete_collection(name)
    assert not client.collection_exists(name)
    assert not client.delete_collection(name)


def test_a_taken_name_is_a_conflict(client: QdrantClient, plain: str) -> None:
    with pytest.raises(UnexpectedResponse) as refused:
        client.create_collection(plain, vectors_config={})
    assert refused.value.status_code == 409


def test_an_unknown_collection_is_not_found(client: QdrantClient) -> None:
    missing = f"test_{uuid4().hex}"
    calls: list[Callable[[], object]] = [
        lambda: client.get_collection(missing),
        lambda: client.upsert(missing, [point(1)]),
        lambda: client.scroll(missing),
        lambda: client.count(missing),
        lambda: client.query_points(missing, query=[1.0]),
        lambda: client.delete(missing, models.PointIdsList(points=[1])),
        lambda: client.update_collection_aliases([create_alias("a", missing)]),
    ]
    for call in calls:
        with pytest.raises(UnexpectedResponse) as refused:
            call()
        assert refused.value.status_code == 404
        assert missing.encode() in refused.value.content


def test_an_alias_stands_for_its_collection_everywhere(client: QdrantClient, hybrid: str) -> None:
    alias = f"alias_{uuid4().hex}"
    client.update_collection_aliases([create_alias(alias, hybrid)])

    client.upsert(alias, [models.PointStruct(id=1, vector={"dense": [1, 0, 0, 0]}, payload={"kind": "post"})])
    client.create_payload_index(alias, "kind", models.PayloadSchemaType.KEYWORD)

    assert client.collection_exists(alias)
    assert client.get_collection(alias).points_count == 1
    assert client.count(alias).count == client.count(hybrid).count == 1
    assert client.query_points(alias, query=[1.0, 0, 0, 0], using="dense").points[0].id == 1
    assert client.facet(alias, "kind").hits == [models.FacetValueHit(value="post", count=1)]
    assert client.scroll(alias)[0] == client.scroll(hybrid)[0]
    assert client.retrieve(alias, [1])[0].payload == {"kind": "post"}
    assert [one.alias_name for one in client.get_collection_aliases(hybrid).aliases] == [alias]
    assert models.AliasDescription(alias_name=alias, collection_name=hybrid) in client.get_aliases().aliases


def test_an_alias_switches_to_another_collection_in_one_step(
    client: QdrantClient, make_collection: Callable[..., str]
) -> None:
    old, new, alias = make_collection(), make_collection(), f"alias_{uuid4().hex}"
    client.upsert(new, [point(1)])
    client.update_collection_aliases([create_alias(alias, old)])
    assert client.count(alias).count == 0

    client.update_collection_aliases([delete_alias(alias), create_alias(alias, new)])

    assert client.count(alias).count == 1
    assert client.get_collection_aliases(old).aliases == []


def test_an_alias_can_be_renamed_and_goes_with_its_collection(
    client: QdrantClient, make_collection: Callable[..., str]
) -> None:
    collection, before, after = make_collection(), f"alias_{uuid4().hex}", f"alias_{uuid4().hex}"
    client.update_collection_aliases([create_alias(before, collection)])
    rename = models.RenameAlias(old_alias_name=before, new_alias_name=after)
    client.update_collection_aliases([models.RenameAliasOperation(rename_alias=rename)])
    assert not client.collection_exists(before)
    assert client.count(after).count == 0

    client.delete_collection(collection)
    assert after not in {one.alias_name for one in client.get_aliases().aliases}


def test_alias_actions_are_all_or_nothing(local_url: str, client: QdrantClient, plain: str) -> None:
    if client._client.rest_uri != local_url:
        pytest.skip("the real server keeps what came before the action that failed")
    alias = f"alias_{uuid4().hex}"
    with pytest.raises(UnexpectedResponse):
        client.update_collection_aliases([create_alias(alias, plain), create_alias("other", "missing")])
    assert not client.collection_exists(alias)


def test_an_alias_may_not_hide_a_collection(client: QdrantClient, make_collection: Callable[..., str]) -> None:
    first, second = make_collection(), make_collection()
    with pytest.raises(UnexpectedResponse) as refused:
        client.update_collection_aliases([create_alias(first, second)])
    assert refused.value.status_code == 409


@pytest.mark.parametrize(
    ("schema", "data_type"),
    [
        (models.PayloadSchemaType.KEYWORD, "keyword"),
        (models.PayloadSchemaType.INTEGER, "integer"),
        (models.PayloadSchemaType.FLOAT, "float"),
        (models.PayloadSchemaType.BOOL, "bool"),
        (models.PayloadSchemaType.UUID, "uuid"),
        (models.PayloadSchemaType.DATETIME, "datetime"),
        (models.PayloadSchemaType.TEXT, "text"),
        (models.PayloadSchemaType.GEO, "geo"),
        (models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True), "keyword"),
        (models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=True), "integer"),
        (
            models.TextIndexParams(
                type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.MULTILINGUAL, lowercase=True
            ),
            "text",
        ),
    ],
)
def test_payload_indexes_come_and_go(
    client: QdrantClient, plain: str, schema: models.PayloadSchemaType, data_type: str
) -> None:
    client.create_payload_index(plain, "some.field", schema)
    index = client.get_collection(plain).payload_schema["some.field"]
    assert index.data_type.value == data_type
    if not isinstance(schema, models.PayloadSchemaType):
        assert index.params is not None
        chosen = schema.model_dump(exclude_none=True)
        assert index.params.model_dump(exclude_none=True).items() >= chosen.items()

    client.delete_payload_index(plain, "some.field")
    assert client.get_collection(plain).payload_schema == {}


def test_the_server_says_what_it_is(client: QdrantClient) -> None:
    assert client.info().version
    for path in ("healthz", "readyz", "livez"):
        assert httpx.get(f"{client._client.rest_uri}/{path}").status_code == 200
