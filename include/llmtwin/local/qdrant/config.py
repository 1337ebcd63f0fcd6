"""Collection and index settings: from REST to the engine, and back for ``GET /collections/{name}``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import qdrant_edge as edge
from qdrant_client.http import models

from llmtwin.local.qdrant.errors import RequestError, WrongInputError

# The engine refuses a shard without any vector at birth, but lets the last one be dropped right after.
PLACEHOLDER = "placeholder"

MAX_VECTOR_SIZE = 65_536  # Qdrant's own limit

# What the real server reports for settings nobody chose.
_HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000, "max_indexing_threads": 0, "on_disk": False}
_OPTIMIZER = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "indexing_threshold": 10_000,
    "flush_interval_sec": 1,
}
_WAL = {"wal_capacity_mb": 32, "wal_segments_ahead": 0}


@dataclass(frozen=True)
class VectorSchema:
    """The vectors that points of one collection may carry; the unnamed one is called ``""``."""

    dense: dict[str, models.VectorParams]
    sparse: dict[str, models.SparseVectorParams]

    @classmethod
    def of(cls, create: models.CreateCollection) -> VectorSchema:
        """Read the schema out of the request that made the collection."""
        vectors = create.vectors if create.vectors is not None else {}
        dense = {"": vectors} if isinstance(vectors, models.VectorParams) else dict(vectors)
        sparse = dict(create.sparse_vectors or {})
        if both := dense.keys() & sparse.keys():
            raise WrongInputError(f"dense and sparse vectors share the name {min(both)!r}")
        for name, params in dense.items():
            if not 1 <= params.size <= MAX_VECTOR_SIZE:
                raise RequestError(422, f"Validation error: vectors.{name}.size must be from 1 to {MAX_VECTOR_SIZE}")
        return cls(dense, sparse)


def engine_config(create: models.CreateCollection) -> edge.EdgeConfig:
    """Return the engine's settings for a new collection; one without vectors gets the `PLACEHOLDER`."""
    schema = VectorSchema.of(create)
    hnsw = _merged(_HNSW, create.hnsw_config)
    return edge.EdgeConfig(
        vectors={name: _dense(params, hnsw) for name, params in schema.dense.items()},
        sparse_vectors={name: _sparse(params) for name, params in schema.sparse.items()}
        or (None if schema.dense else {PLACEHOLDER: edge.EdgeSparseVectorParams()}),
        on_disk_payload=create.on_disk_payload,
    )


def collection_info(create: models.CreateCollection, info: edge.ShardInfo, *, optimizing: bool) -> dict[str, Any]:
    """Return Qdrant's description of a collection."""
    asked = create.model_dump(mode="json", exclude_none=True)
    return {
        "status": "yellow" if optimizing else "green",
        "optimizer_status": "ok",
        "indexed_vectors_count": info.indexed_vectors_count,
        "points_count": info.points_count,
        "segments_count": info.segments_count,
        "config": {
            "params": {
                "vectors": asked.get("vectors", {}),
                "shard_number": asked.get("shard_number", 1),
                "replication_factor": asked.get("replication_factor", 1),
                "write_consistency_factor": asked.get("write_consistency_factor", 1),
                "on_disk_payload": asked.get("on_disk_payload", True),
                **({"sparse_vectors": asked["sparse_vectors"]} if "sparse_vectors" in asked else {}),
            },
            "hnsw_config": _merged(_HNSW, create.hnsw_config),
            "optimizer_config": _merged(_OPTIMIZER, create.optimizers_config),
            "wal_config": _merged(_WAL, create.wal_config),
            "quantization_config": asked.get("quantization_config"),
            **({"metadata": asked["metadata"]} if "metadata" in asked else {}),
        },
        "payload_schema": {
            field: {"data_type": _lower(index.data_type), "points": index.points, **_index_params(index)}
            for field, index in info.payload_schema.items()
        },
    }


def index_schema(asked: Any) -> Any:
    """Return the engine's ``PayloadSchemaType`` or index parameters for a payload index.

    Args:
        asked: A `models.PayloadSchemaType` or one of its parameter models.
    """
    if isinstance(asked, models.PayloadSchemaType):
        return getattr(edge.PayloadSchemaType, asked.value.title())
    options = asked.model_dump(mode="json", exclude_none=True, exclude={"type", "memory"})
    for unknown in options.keys() & {"stopwords", "stemmer", "scoring"}:
        raise WrongInputError(f"the text index option {unknown!r} is not offered by the local server")
    if "tokenizer" in options:
        options["tokenizer"] = getattr(edge.TokenizerType, options["tokenizer"].title())
    return getattr(edge, type(asked).__name__)(**options)


def _dense(params: models.VectorParams, hnsw: dict[str, Any]) -> edge.EdgeVectorParams:
    own = _merged(hnsw, params.hnsw_config)
    return edge.EdgeVectorParams(
        size=params.size,
        distance=getattr(edge.Distance, params.distance.value.title()),
        on_disk=params.on_disk,
        multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
        if params.multivector_config
        else None,
        datatype=getattr(edge.VectorStorageDatatype, params.datatype.value.title()) if params.datatype else None,
        hnsw_config=edge.HnswIndexConfig(
            m=own["m"], ef_construct=own["ef_construct"], full_scan_threshold=own["full_scan_threshold"]
        ),
    )


def _sparse(params: models.SparseVectorParams) -> edge.EdgeSparseVectorParams:
    return edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf if params.modifier == models.Modifier.IDF else None)


def _merged(defaults: dict[str, Any], asked: Any) -> dict[str, Any]:
    return defaults | (asked.model_dump(mode="json", exclude_none=True) if asked else {})


def _index_params(index: edge.PayloadIndexInfo) -> dict[str, Any]:
    if index.params is None:
        return {}
    names = [name for name in dir(index.params) if not name.startswith("_")]
    values = {name: getattr(index.params, name) for name in names}
    plain = {name: value for name, value in values.items() if isinstance(value, bool | int | str)}
    if "tokenizer" in values:
        plain["tokenizer"] = _lower(values["tokenizer"])
    return {"params": {"type": _lower(index.data_type)} | plain}


def _lower(member: Any) -> str:
    return str(member).rsplit(".", 1)[-1].lower()
