"""Chunk: cut each cleaned document into pieces that fit the embedding model's window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from llmtwin.documents import CLEANED_TYPES, Kind
from llmtwin.features import handler_for
from llmtwin.staging.model import Context, ModelOutput, Rejected

if TYPE_CHECKING:
    import pyarrow as pa


def model(stg_documents: pa.Table, context: Context) -> ModelOutput:
    """Return one row per chunk; deleted documents have none."""
    output = ModelOutput(rows=[])
    for document in stg_documents.to_pylist():
        if document["op"] == "delete":
            continue
        try:
            output.rows.extend(_chunks(document, context))
        except ValidationError as error:  # any other error is the model's or a setting's, and would reject all
            output.rejected.append(Rejected.by_contract(document, error))
    return output


def _chunks(document: dict[str, Any], context: Context) -> list[dict[str, Any]]:
    kind = Kind(document["kind"])
    cleaned = CLEANED_TYPES[kind]
    fields = {name: document[name] for name in cleaned.model_fields}
    return [chunk.to_row() for chunk in handler_for(kind, context.settings).chunk(cleaned.model_validate(fields))]
