"""Writes: from REST JSON to the engine's update operations, checked in full first.

Points are read by hand and not through the client's models: an upsert is nearly all of the server's work, and the
models try every possible form of a vector on every vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import qdrant_edge as edge
from pydantic import TypeAdapter
from qdrant_client.http import models

from llmtwin.local.qdrant.config import VectorSchema
from llmtwin.local.qdrant.errors import RequestError, WrongInputError
from llmtwin.local.qdrant.filters import engine_filter
from llmtwin.local.qdrant.ids import PointId, point_id

# The engine's reader stops at 128 levels, counting its own; the writer does not stop at all.
MAX_PAYLOAD_DEPTH = 100

MAX_FLOAT32 = 3.4028234663852886e38

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Update:
    """One write that is known to be well-formed.

    Attributes:
        operation: The engine's operation.
        size: How many points it writes at most; 0 where only the engine knows.
        must_exist: Points without which the engine would fail half-way.
    """

    operation: edge.UpdateOperation
    size: int = 0
    must_exist: tuple[PointId, ...] = ()


def read_update(kind: str, body: Any, schema: VectorSchema) -> Update:
    """Return the update that a request asks for.

    Args:
        kind: REST's word for it in a batch: ``upsert``, ``delete``, ``set_payload`` ….
        body: The parsed JSON.
        schema: The vectors that the collection has.

    Raises:
        RequestError: The JSON is not of the right form, or does not fit the collection.
    """
    if kind not in _READERS:
        raise RequestError(400, f"Format error in JSON body: unknown operation {kind!r}")
    if not isinstance(body, dict):
        raise RequestError(400, f"Format error in JSON body: {kind} takes an object")
    return _READERS[kind](body, schema)


def _read_upsert(body: JsonObject, schema: VectorSchema) -> Update:
    points = [
        edge.Point(point_id(id_), _vector(vector, schema), _payload(payload)) for id_, vector, payload in _rows(body)
    ]
    mode = body.get("update_mode")
    operation = edge.UpdateOperation.upsert_points(
        points,
        condition=engine_filter(_filter(body.get("update_filter"))),
        update_mode=_UPDATE_MODES[models.UpdateMode(mode)] if mode else None,
    )
    return Update(operation, len(points))


def _rows(body: JsonObject) -> Iterable[tuple[Any, Any, Any]]:
    """Yield (id, vector, payload) of both forms: a list of points, or a batch with one list per field."""
    if isinstance(batch := body.get("batch"), dict):
        ids, vectors = batch.get("ids"), batch.get("vectors")
        payloads = batch.get("payloads")
        if not isinstance(ids, list) or not isinstance(vectors, list | dict) or not isinstance(payloads, list | None):
            raise _malformed("a batch takes the lists ids, vectors and payloads")
        columns = vectors.values() if isinstance(vectors, dict) else [vectors]
        for column in [*columns, *([] if payloads is None else [payloads])]:
            if not isinstance(column, list) or len(column) != len(ids):
                raise _malformed(f"every list of a batch must hold as many items as there are ids: {len(ids)}")
        if isinstance(vectors, dict):
            # A point without one of the vectors has null there.
            rows = [{name: column[row] for name, column in vectors.items()} for row in range(len(ids))]
            vectors = [{name: vector for name, vector in row.items() if vector is not None} for row in rows]
        yield from zip(ids, vectors, payloads or [None] * len(ids), strict=True)
    elif isinstance(points := body.get("points"), list):
        for point in points:
            if not isinstance(point, dict) or "id" not in point or "vector" not in point:
                raise _malformed("each point takes an id and a vector")
            yield point["id"], point["vector"], point.get("payload")
    else:
        raise _malformed("expected points or batch")


def _vector(asked: Any, schema: VectorSchema) -> Any:
    named = asked if isinstance(asked, dict) else {"": asked}
    if asked == [] and "" not in schema.dense:  # what a client sends for "no vector" in a collection without any
        return {}
    return {name: checked_vector(name, vector, schema) for name, vector in named.items()}


def checked_vector(name: str, asked: Any, schema: VectorSchema) -> Any:
    """Return the engine's form of one vector: a list, a list of lists (multivector) or an `edge.SparseVector`.

    Raises:
        WrongInputError: The collection has no such vector, or it does not look like this.
    """
    if params := schema.dense.get(name):
        rows = asked if params.multivector_config else [asked]
        if not isinstance(rows, list) or not rows:
            raise WrongInputError(f"the vector {name!r} takes a list of vectors")
        for row in rows:
            if not isinstance(row, list):
                raise WrongInputError(f"the vector {name!r} is dense and takes a list of numbers")
            if len(row) != params.size:
                raise WrongInputError(f"Vector dimension error: expected dim: {params.size}, got {len(row)}")
            _check_finite(row)
        return asked
    if name in schema.sparse:
        return _sparse_vector(name, asked)
    raise WrongInputError(f"Not existing vector name error: {name}")


def _sparse_vector(name: str, asked: Any) -> edge.SparseVector:
    if not isinstance(asked, dict) or asked.keys() != {"indices", "values"}:
        raise WrongInputError(f"the vector {name!r} is sparse and takes indices and values")
    indices, values = asked["indices"], asked["values"]
    if not isinstance(indices, list) or not isinstance(values, list) or len(indices) != len(values):
        raise WrongInputError("Validation error: sparse vectors take as many values as indices")
    if len(set(indices)) != len(indices):
        raise WrongInputError("Validation error: the indices of a sparse vector must be unique")
    _check_finite(values)
    return edge.SparseVector(indices, values)


def _check_finite(values: list[float]) -> None:
    """Refuse what becomes infinite as a 32-bit float: it would poison every score it takes part in."""
    if values and (max(values) > MAX_FLOAT32 or min(values) < -MAX_FLOAT32):
        raise WrongInputError("a vector holds a number that is too large for 32 bits")


def _payload(asked: Any) -> JsonObject:
    if asked is None:
        return {}
    if not isinstance(asked, dict):
        raise _malformed("a payload is an object")
    _check_depth(asked, MAX_PAYLOAD_DEPTH)
    return asked


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise WrongInputError(f"a payload may be nested {MAX_PAYLOAD_DEPTH} levels deep")
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            _check_depth(inner, left - 1)


def _read_delete(body: JsonObject, _schema: VectorSchema) -> Update:
    ids, condition = _selected(body)
    if condition is not None:
        return Update(edge.UpdateOperation.delete_points_by_filter(condition))
    return Update(edge.UpdateOperation.delete_points(list(ids)), len(ids))


def _payload_writer(by_id: Callable[..., Any], by_filter: Callable[..., Any]) -> Callable[..., Update]:
    def read(body: JsonObject, _schema: VectorSchema) -> Update:
        asked = models.SetPayload.model_validate(body)
        ids, condition = _selected(body)
        _check_depth(asked.payload, MAX_PAYLOAD_DEPTH)
        if condition is not None:
            return Update(by_filter(condition, asked.payload, asked.key))
        return Update(by_id(list(ids), asked.payload, asked.key), len(ids), ids)

    return read


def _read_delete_payload(body: JsonObject, _schema: VectorSchema) -> Update:
    asked = models.DeletePayload.model_validate(body)
    ids, condition = _selected(body)
    if condition is not None:
        return Update(edge.UpdateOperation.delete_payload_by_filter(condition, asked.keys))
    return Update(edge.UpdateOperation.delete_payload(list(ids), asked.keys), len(ids), ids)


def _read_clear_payload(body: JsonObject, _schema: VectorSchema) -> Update:
    ids, condition = _selected(body)
    if condition is not None:
        return Update(edge.UpdateOperation.clear_payload_by_filter(condition))
    return Update(edge.UpdateOperation.clear_payload(list(ids)), len(ids), ids)


def _read_update_vectors(body: JsonObject, schema: VectorSchema) -> Update:
    points = body.get("points")
    if not isinstance(points, list):
        raise _malformed("expected points")
    vectors = []
    for point in points:
        if not isinstance(point, dict) or "id" not in point or "vector" not in point:
            raise _malformed("each point takes an id and a vector")
        vectors.append((point_id(point["id"]), _vector(point["vector"], schema)))
    operation = edge.UpdateOperation.update_vectors(
        [edge.PointVectors(id_, vector) for id_, vector in vectors],
        condition=engine_filter(_filter(body.get("update_filter"))),
    )
    return Update(operation, len(vectors), tuple(id_ for id_, _ in vectors))


def _read_delete_vectors(body: JsonObject, schema: VectorSchema) -> Update:
    asked = models.DeleteVectors.model_validate(body)
    for name in asked.vector:
        if name not in schema.dense and name not in schema.sparse:
            raise WrongInputError(f"Not existing vector name error: {name}")
    ids, condition = _selected(body)
    if condition is not None:
        return Update(edge.UpdateOperation.delete_vectors_by_filter(condition, asked.vector))
    return Update(edge.UpdateOperation.delete_vectors(list(ids), asked.vector), len(ids), ids)


def _selected(body: JsonObject) -> tuple[tuple[PointId, ...], edge.Filter | None]:
    """Return the ids, or the filter, that a request selects points by."""
    if isinstance(points := body.get("points"), list):
        return tuple(point_id(one) for one in points), None
    if condition := engine_filter(_filter(body.get("filter"))):
        return (), condition
    raise _malformed("expected points or filter")


def _filter(asked: Any) -> models.Filter | None:
    return TypeAdapter(models.Filter | None).validate_python(asked)


def _malformed(reason: str) -> RequestError:
    return RequestError(400, f"Format error in JSON body: {reason}")


_UPDATE_MODES = {
    models.UpdateMode.UPSERT: edge.UpdateMode.Upsert,
    models.UpdateMode.INSERT_ONLY: edge.UpdateMode.InsertOnly,
    models.UpdateMode.UPDATE_ONLY: edge.UpdateMode.UpdateOnly,
}

_READERS: dict[str, Callable[[JsonObject, VectorSchema], Update]] = {
    "upsert": _read_upsert,
    "delete": _read_delete,
    "set_payload": _payload_writer(edge.UpdateOperation.set_payload, edge.UpdateOperation.set_payload_by_filter),
    "overwrite_payload": _payload_writer(
        edge.UpdateOperation.overwrite_payload, edge.UpdateOperation.overwrite_payload_by_filter
    ),
    "delete_payload": _read_delete_payload,
    "clear_payload": _read_clear_payload,
    "update_vectors": _read_update_vectors,
    "delete_vectors": _read_delete_vectors,
}
