"""Collections, their indexes, and the aliases readers use.

Readers know aliases only: ``cleaned_<kind>s`` and ``embedded_<kind>s``. Behind each stands a collection whose name
tells the layout's version and, for embeddings, the model: ``embedded_articles__all-minilm-l6-v2__v1``. Writers write
to the collection of the settings in force; an alias is set when it is missing and moved only by ``switch_alias``, so a
new model fills its own collection while readers go on with the old one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from llmtwin.documents import Kind
from llmtwin.errors import VectorStoreError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import Filter, PayloadSchemaType

LAYOUT = "v1"
DENSE = "dense"
SPARSE = "bm25"
# Deleted documents and the version of their deletion, so that a late older event cannot bring one back. A collection
# of its own: a marker among the cleaned documents would have to be filtered out by every reader for ever.
TOMBSTONES = "tombstones"

_PLURAL = {Kind.POST: "posts", Kind.ARTICLE: "articles", Kind.REPOSITORY: "repositories"}
_CLEANED_INDEXES = {
    "author_id": "keyword",
    "platform": "keyword",
    "version": "integer",
    "published_at": "datetime",
    "repository_id": "keyword",
    "language": "keyword",
}
_EMBEDDED_INDEXES = {
    **_CLEANED_INDEXES,
    "document_id": "keyword",
    "content_hash": "keyword",
    "embedding_model": "keyword",
    "position": "integer",
}


def cleaned_alias(kind: Kind) -> str:
    """The name under which cleaned documents of a kind are read."""
    return f"cleaned_{_PLURAL[kind]}"


def embedded_alias(kind: Kind) -> str:
    """The name under which embedded chunks of a kind are read."""
    return f"embedded_{_PLURAL[kind]}"


def cleaned_collection(kind: Kind) -> str:
    """The collection that cleaned documents of a kind are written to."""
    return f"{cleaned_alias(kind)}__{LAYOUT}"


def embedded_collection(kind: Kind, model_id: str) -> str:
    """The collection that chunks embedded by a model are written to."""
    return f"{embedded_alias(kind)}__{_slug(model_id)}__{LAYOUT}"


def embedded_collections(client: QdrantClient, kind: Kind) -> list[str]:
    """Return all existing collections of embedded chunks of a kind, whatever their model."""
    prefix = f"{embedded_alias(kind)}__"
    return sorted(name for name in collection_names(client) if name.startswith(prefix))


def collection_names(client: QdrantClient) -> set[str]:
    """Return the names of all collections."""
    return {collection.name for collection in client.get_collections().collections}


def aliases(client: QdrantClient) -> dict[str, str]:
    """Return all aliases with the collections that stand behind them."""
    return {entry.alias_name: entry.collection_name for entry in client.get_aliases().aliases}


def documents_in(client: QdrantClient, collection: str) -> int:
    """Return of how many documents a collection holds chunks: each has exactly one at position 0."""
    from qdrant_client import models

    first = models.Filter(must=[models.FieldCondition(key="position", match=models.MatchValue(value=0))])
    return client.count(collection, count_filter=first, exact=True).count


def scroll(
    client: QdrantClient, collection: str, fields: list[str], chosen: Filter | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield id and these payload fields of all points of a collection, or of those a filter chooses."""
    offset = None
    while True:
        records, offset = client.scroll(
            collection, scroll_filter=chosen, limit=1000, offset=offset, with_payload=fields
        )
        yield from ((str(record.id), record.payload or {}) for record in records)
        if offset is None:
            return


def ensure_cleaned(client: QdrantClient) -> None:
    """Create the collections of cleaned documents and of tombstones, with indexes and aliases, where missing."""
    existing = collection_names(client)
    for kind in Kind:
        name = cleaned_collection(kind)
        if name not in existing:
            _create(client, name, {}, {}, _CLEANED_INDEXES)
        _ensure_alias(client, cleaned_alias(kind), name)
    if TOMBSTONES not in existing:
        _create(client, TOMBSTONES, {}, {}, {"deleted_at": "datetime"})


def ensure_embedded(client: QdrantClient, kind: Kind, model_id: str, dimension: int) -> str:
    """Create the collection for chunks of a kind embedded by a model where it is missing; return its name.

    Raises:
        VectorStoreError: The collection is there, with vectors of another dimension.
    """
    from qdrant_client import models

    name = embedded_collection(kind, model_id)
    if name in collection_names(client):
        vectors = client.get_collection(name).config.params.vectors
        size = vectors[DENSE].size if isinstance(vectors, dict) and DENSE in vectors else None
        if size != dimension:
            raise VectorStoreError(
                f"collection {name} holds {DENSE} vectors of {size} numbers, the model {model_id} makes {dimension}: "
                "another model was used under this name. Delete the collection, then run `llmtwin cdc --snapshot`."
            )
    else:
        _create(
            client,
            name,
            {DENSE: models.VectorParams(size=dimension, distance=models.Distance.COSINE)},
            {SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
            _EMBEDDED_INDEXES,
        )
    _ensure_alias(client, embedded_alias(kind), name)
    return name


def switch_alias(client: QdrantClient, alias: str, collection: str) -> None:
    """Let readers of an alias see another collection from the next request on, in one atomic step."""
    from qdrant_client import models

    operations: list[models.AliasOperations] = []
    if alias in aliases(client):
        operations.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
    create = models.CreateAlias(collection_name=collection, alias_name=alias)
    operations.append(models.CreateAliasOperation(create_alias=create))
    client.update_collection_aliases(operations)


def _ensure_alias(client: QdrantClient, alias: str, collection: str) -> None:
    if alias not in aliases(client):
        switch_alias(client, alias, collection)


def _create(
    client: QdrantClient, name: str, vectors: dict[str, object], sparse: dict[str, object], indexes: dict[str, str]
) -> None:
    from qdrant_client.http.exceptions import UnexpectedResponse

    try:
        client.create_collection(name, vectors_config=vectors, sparse_vectors_config=sparse or None)  # type: ignore[arg-type]
    except UnexpectedResponse as error:
        if error.status_code != 409:  # another task was quicker, which is as good
            raise
    for field, schema in indexes.items():
        client.create_payload_index(name, field, field_schema=_schema_type(schema))


def _schema_type(name: str) -> PayloadSchemaType:
    from qdrant_client.models import PayloadSchemaType

    return PayloadSchemaType(name)


def _slug(model_id: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", model_id.rsplit("/", 1)[-1].lower()).strip("-")
