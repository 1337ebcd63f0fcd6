"""Results: from the engine's types to REST JSON."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge

from llmtwin.local.qdrant.ids import json_point_id


def record_json(record: edge.Record | edge.ScoredPoint) -> dict[str, Any]:
    """Return a stored point as ``{"id", "payload", "vector"}``, with ``order_value`` where it was ordered by one."""
    found = {"id": json_point_id(record.id), "payload": record.payload, "vector": _vector_json(record.vector)}
    if record.order_value is not None:
        found["order_value"] = record.order_value
    return found


def scored_json(point: edge.ScoredPoint) -> dict[str, Any]:
    """Return a hit as ``{"id", "version", "score", "payload", "vector"}``."""
    return {"version": point.version, "score": point.score, **record_json(point)}


def _vector_json(vector: Any) -> Any:
    match vector:
        case dict():
            return {name: _vector_json(one) for name, one in vector.items()}
        case edge.SparseVector():
            return {"indices": vector.indices, "values": vector.values}
    return vector
