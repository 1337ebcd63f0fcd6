"""The endpoints: each takes the storage and a call, and returns what goes under ``result``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import qdrant_edge as edge
from pydantic import BaseModel
from qdrant_client.http import models

from llmtwin.local.qdrant.collection import Collection
from llmtwin.local.qdrant.config import index_schema
from llmtwin.local.qdrant.errors import NotFoundError, RequestError, WrongInputError, engine_errors
from llmtwin.local.qdrant.filters import engine_filter
from llmtwin.local.qdrant.ids import json_point_id, path_point_id, point_id
from llmtwin.local.qdrant.points import Update, read_update
from llmtwin.local.qdrant.queries import DEFAULT_LIMIT, QueryReader, engine_order, payload_selector, vector_selector
from llmtwin.local.qdrant.results import record_json, scored_json
from llmtwin.local.qdrant.storage import Storage

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Call:
    """One request, parsed.

    Attributes:
        path: The parts of the URL's path that vary.
        query: What stands behind the question mark.
        body: The JSON.
    """

    path: dict[str, str]
    query: dict[str, str]
    body: Any

    def read(self, model: type[Model]) -> Model:
        """Return the body as one of the client's models."""
        return model.model_validate(self.body)

    def collection(self, storage: Storage) -> Collection:
        """Return the collection that the path names, by its name or an alias."""
        return storage.find(self.path["collection"])

    @property
    def wait(self) -> bool:
        """Whether to answer only when the write is on disk."""
        return self.query.get("wait") == "true"


Handler = Callable[[Storage, Call], Any]


def list_collections(storage: Storage, _call: Call) -> Any:
    return {"collections": [{"name": name} for name in sorted(storage.collections)]}


def get_collection(storage: Storage, call: Call) -> Any:
    return call.collection(storage).info()


def collection_exists(storage: Storage, call: Call) -> Any:
    name = call.path["collection"]
    return {"exists": name in storage.collections or name in storage.aliases}


def create_collection(storage: Storage, call: Call) -> Any:
    storage.create(call.path["collection"], call.read(models.CreateCollection))
    return True


def delete_collection(storage: Storage, call: Call) -> Any:
    return storage.delete(call.path["collection"])


def list_aliases(storage: Storage, _call: Call) -> Any:
    return _aliases(storage.aliases)


def list_collection_aliases(storage: Storage, call: Call) -> Any:
    collection = call.collection(storage)
    return _aliases({alias: name for alias, name in storage.aliases.items() if name == collection.name})


def change_aliases(storage: Storage, call: Call) -> Any:
    storage.change_aliases(call.read(models.ChangeAliasesOperation).actions)
    return True


def create_index(storage: Storage, call: Call) -> Any:
    asked = call.read(models.CreateFieldIndex)
    if asked.field_schema is None:
        raise WrongInputError("field_schema is missing: the local server does not guess it")
    with engine_errors():
        operation = edge.UpdateOperation.create_field_index(asked.field_name, index_schema(asked.field_schema))
    return _write(call.collection(storage), [Update(operation)], call)


def delete_index(storage: Storage, call: Call) -> Any:
    with engine_errors():
        operation = edge.UpdateOperation.delete_field_index(call.path["field"])
    return _write(call.collection(storage), [Update(operation)], call)


def updater(kind: str) -> Handler:
    """Return the endpoint for one kind of write, by its name in ``points/batch``."""

    def update(storage: Storage, call: Call) -> Any:
        collection = call.collection(storage)
        with engine_errors():
            asked = read_update(kind, call.body, collection.schema)
        return _write(collection, [asked], call)

    return update


def update_batch(storage: Storage, call: Call) -> Any:
    collection = call.collection(storage)
    operations = call.body.get("operations") if isinstance(call.body, dict) else None
    if not isinstance(operations, list) or not all(isinstance(one, dict) and len(one) == 1 for one in operations):
        raise RequestError(400, "Format error in JSON body: expected operations, each an object with one key")
    with engine_errors():
        updates = [read_update(kind, body, collection.schema) for one in operations for kind, body in one.items()]
    return [_write(collection, [update], call) for update in updates]


def get_point(storage: Storage, call: Call) -> Any:
    point = path_point_id(call.path["point"])
    records = call.collection(storage).shard.retrieve([point], True, True)
    if not records:
        raise NotFoundError(f"Point with id {point} does not exists!")
    return record_json(records[0])


def get_points(storage: Storage, call: Call) -> Any:
    asked = call.read(models.PointRequest)
    collection = call.collection(storage)
    with engine_errors():
        records = collection.shard.retrieve(
            [point_id(one) for one in asked.ids],
            payload_selector(asked.with_payload, default=True),
            vector_selector(asked.with_vector, collection.schema),
        )
    return [record_json(record) for record in records]


def scroll(storage: Storage, call: Call) -> Any:
    collection, asked = call.collection(storage), call.read(models.ScrollRequest)
    if asked.order_by is not None and asked.offset is not None:
        raise WrongInputError("Cannot use an `offset` when using `order_by`. Use `start_from` instead")
    if asked.limit is not None and asked.limit < 1:
        raise RequestError(422, "Validation error: limit must be 1 or larger")
    with engine_errors():
        request = edge.ScrollRequest(
            offset=None if asked.offset is None else point_id(asked.offset),
            limit=DEFAULT_LIMIT if asked.limit is None else asked.limit,
            filter=engine_filter(asked.filter),
            with_payload=payload_selector(asked.with_payload, default=True),
            with_vector=vector_selector(asked.with_vector, collection.schema),
            order_by=None if asked.order_by is None else engine_order(asked.order_by),
        )
        records, offset = collection.shard.scroll(request)
    return {
        "points": [record_json(record) for record in records],
        "next_page_offset": None if offset is None else json_point_id(offset),
    }


def count(storage: Storage, call: Call) -> Any:
    asked = call.read(models.CountRequest)
    with engine_errors():
        request = edge.CountRequest(exact=asked.exact is not False, filter=engine_filter(asked.filter))
        return {"count": call.collection(storage).shard.count(request)}


def facet(storage: Storage, call: Call) -> Any:
    asked = call.read(models.FacetRequest)
    with engine_errors():
        request = edge.FacetRequest(
            asked.key,
            limit=DEFAULT_LIMIT if asked.limit is None else asked.limit,
            exact=asked.exact or False,
            filter=engine_filter(asked.filter),
        )
        hits = call.collection(storage).shard.facet(request).hits
    return {"hits": [{"value": hit.value, "count": hit.count} for hit in hits]}


def query(storage: Storage, call: Call) -> Any:
    return _query(call.collection(storage), [call.read(models.QueryRequest)])[0]


def query_batch(storage: Storage, call: Call) -> Any:
    return _query(call.collection(storage), call.read(models.QueryRequestBatch).searches)


def _query(collection: Collection, asked: list[models.QueryRequest]) -> list[Any]:
    reader = QueryReader(collection.schema, collection.stored_vector)
    with engine_errors():
        requests = [reader.request(one) for one in asked]
        batch = collection.shard.query_batch(edge.QueryBatchRequest(requests))
    return [{"points": [scored_json(point) for point in points]} for points in batch]


def _write(collection: Collection, updates: list[Update], call: Call) -> Any:
    collection.apply(updates, wait=call.wait)
    return {"operation_id": collection.writes, "status": "completed" if call.wait else "acknowledged"}


def _aliases(aliases: dict[str, str]) -> Any:
    return {"aliases": [{"alias_name": alias, "collection_name": name} for alias, name in sorted(aliases.items())]}
