"""What a dataset holds: conversations in the form that trl trains on, and where each came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmtwin.datasets.extracts import Extract
from llmtwin.prompt import instructions

if TYPE_CHECKING:
    import pyarrow as pa

Message = dict[str, str]
Row = dict[str, Any]


def prompt(author: str, asked: str, has_passages: bool = False) -> list[Message]:
    """Return what the model is told and asked, in the words of serving."""
    return [
        {"role": "system", "content": instructions(author, has_passages)},
        {"role": "user", "content": asked},
    ]


def answer(text: str) -> list[Message]:
    """Return what the model is to say."""
    return [{"role": "assistant", "content": text}]


def origin(extract: Extract, author: str, type_: str, teacher: str | None) -> Row:
    """Return the columns that say where a row came from."""
    document = extract.document
    return {
        "type": type_,
        "kind": str(document.kind),
        "document_id": str(document.document_id),
        "link": document.link,
        "author": author,
        "position": extract.position,
        "published_at": document.published_at,
        "teacher": teacher,
    }


def texts_of(row: Row) -> str:
    """Return all that a model would see of a row."""
    messages = [message for column in ("prompt", "completion", "chosen", "rejected") for message in row.get(column, ())]
    return "\n\n".join(message["content"] for message in messages if message["role"] != "system")


def schema(config: str) -> pa.Schema:
    """Return the columns of a configuration, ``sft`` or ``preferences``."""
    import pyarrow as pa

    conversation = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    answers = ["completion"] if config == "sft" else ["chosen", "rejected"]
    return pa.schema(
        [
            ("prompt", conversation),
            *((name, conversation) for name in answers),
            ("type", pa.string()),
            ("kind", pa.string()),
            ("document_id", pa.string()),
            ("link", pa.string()),
            ("author", pa.string()),
            ("position", pa.int32()),
            ("published_at", pa.timestamp("us", tz="UTC")),
            ("teacher", pa.string()),
        ]
    )
