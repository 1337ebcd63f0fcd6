"""Clean: check each raw document against its contract and normalise its text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from llmtwin.documents import RAW_TYPES, Kind, Operation
from llmtwin.features import handler_for
from llmtwin.staging.model import Context, ModelOutput, Rejected

if TYPE_CHECKING:
    import pyarrow as pa


def model(cdc_events: pa.Table, context: Context) -> ModelOutput:
    """Return one row per changed document."""
    output = ModelOutput(rows=[])
    for event in cdc_events.to_pylist():
        if event["op"] == Operation.DELETE:
            output.rows.append({name: event[name] for name in ("document_id", "op", "kind", "version")})
            continue
        try:
            output.rows.append(_clean(event, context))
        except ValidationError as error:
            output.rejected.append(Rejected.by_contract(event, error))
        except ValueError as error:
            output.rejected.append(Rejected(event, str(error)))
    return output


def _clean(event: dict[str, Any], context: Context) -> dict[str, Any]:
    kind = Kind(event["kind"])
    raw = RAW_TYPES[kind].model_validate(orjson.loads(event["document"]))
    if str(raw.id) != event["document_id"]:
        raise ValueError(f"the document's _id {raw.id} is not the event's {event['document_id']}")
    cleaned = handler_for(kind, context.settings).clean(raw, event["version"])
    return {"op": "upsert", **cleaned.to_row()}
