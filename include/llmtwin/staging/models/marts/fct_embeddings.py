"""Embed: a dense and a sparse vector for each chunk. What Qdrant holds a vector of is not embedded again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmtwin.documents import Kind
from llmtwin.errors import BatchError
from llmtwin.features import embedder_for, encode_document
from llmtwin.staging.model import Context, ModelOutput
from llmtwin.vectors import known_vectors

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def model(int_chunks: pa.Table, context: Context) -> ModelOutput:
    """Return one row per chunk, in the order of the chunks.

    Raises:
        BatchError: The chunks were cut for another model than the settings name by now.
    """
    import pyarrow as pa

    chunks = int_chunks.to_pylist()
    known = known_vectors(chunks, context.settings)
    vectors: dict[str, np.ndarray[Any, Any]] = dict(known)
    for kind in Kind:
        fresh = [chunk for chunk in chunks if chunk["kind"] == kind and chunk["chunk_id"] not in known]
        if fresh:
            embedder = embedder_for(kind, context.settings)
            if strangers := {chunk["embedding_model"] for chunk in fresh} - {embedder.model_id}:
                raise BatchError(
                    f"the {kind} chunks of this batch were cut for {', '.join(strangers)}, and the settings name "
                    f"{embedder.model_id} by now: run the chunk task again, then embed"
                )
            matrix = embedder.embed([chunk["content"] for chunk in fresh])
            vectors.update(zip((chunk["chunk_id"] for chunk in fresh), matrix, strict=True))
    rows = []
    for chunk in chunks:
        indices, values = encode_document(chunk["content"])
        row = {name: chunk[name] for name in ("chunk_id", "document_id", "kind", "content_hash", "embedding_model")}
        rows.append({**row, "reused": chunk["chunk_id"] in known, "sparse_indices": indices, "sparse_values": values})
    dense = [vectors[chunk["chunk_id"]] for chunk in chunks]
    return ModelOutput(rows, columns={"dense": pa.array(dense, type=pa.list_(pa.float32()))})
