"""Chunk: cut each cleaned document into pieces that fit the embedding model's window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmtwin.documents import CLEANED_TYPES, Kind
from llmtwin.features import handler_for
from llmtwin.staging.model import Context, ModelOutput

if TYPE_CHECKING:
    import pyarrow as pa


def model(stg_documents: pa.Table, context: Context) -> ModelOutput:
    """Return one row per chunk; deleted documents have none."""
    output = ModelOutput(rows=[])
    for row in stg_documents.to_pylist():
        if row["op"] == "delete":
            continue
        kind = Kind(row["kind"])
        cleaned = CLEANED_TYPES[kind].model_validate(_fields(row, CLEANED_TYPES[kind].model_fields))
        output.rows.extend(chunk.to_row() for chunk in handler_for(kind, context.settings).chunk(cleaned))
    return output


def _fields(row: dict[str, Any], names: Any) -> dict[str, Any]:
    return {name: row[name] for name in names}
