"""Collections, validators and indexes, declared from the Pydantic models so that both can never disagree.

The validator is the last line: it refuses a document that another program writes past the models. It checks what BSON
can say (types, required and unknown fields); patterns and identities are the models' own.
"""

from __future__ import annotations

import types
import typing
from datetime import datetime
from enum import Enum
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime
from pymongo import ASCENDING, IndexModel
from pymongo.database import Database

from llmtwin.documents import RAW_TYPES, Contract, Repository, User
from llmtwin.warehouse.connection import Row
from llmtwin.warehouse.misses import Miss
from llmtwin.warehouse.registry import RegisteredSource

USERS = "users"
STREAMED: dict[str, type[Contract]] = {raw.collection: raw for raw in RAW_TYPES.values()}
COLLECTIONS: dict[str, type[Contract]] = {
    USERS: User,
    Repository.collection: Repository,
    RegisteredSource.collection: RegisteredSource,
    Miss.collection: Miss,
    **STREAMED,
}
INDEXES: dict[str, list[IndexModel]] = {
    RegisteredSource.collection: [
        IndexModel([("author_id", ASCENDING)]),
        IndexModel([("source_link", ASCENDING), ("author_id", ASCENDING)]),
    ],
    Miss.collection: [IndexModel([("source_link", ASCENDING), ("author_id", ASCENDING)])],
    Repository.collection: [IndexModel([("source_link", ASCENDING), ("author_id", ASCENDING)])],
    # A crawl asks which documents its source had before; a reader asks for an author's.
    **{
        name: [
            IndexModel([("source_link", ASCENDING), ("author_id", ASCENDING)]),
            IndexModel([("author_id", ASCENDING), ("published_at", ASCENDING)]),
        ]
        for name in STREAMED
    },
}

_BSON_TYPES: dict[Any, list[str]] = {
    str: ["string"],
    bool: ["bool"],
    int: ["int", "long"],
    UUID: ["binData"],
    datetime: ["date"],
    AwareDatetime: ["date"],
    dict: ["object"],
    type(None): ["null"],
}
_NAMESPACE_EXISTS = 48  # server error code NamespaceExists


def ensure_schema(database: Database[Row]) -> None:
    """Create what is missing and bring validators and indexes up to date. Safe to call at any time."""
    existing = set(database.list_collection_names())
    for name, model in COLLECTIONS.items():
        validator = validator_for(model)
        if name not in existing:
            _create(database, name)
        database.command("collMod", name, validator=validator, validationLevel="strict", validationAction="error")
        if indexes := INDEXES.get(name):
            database[name].create_indexes(indexes)


def validator_for(model: type[Contract]) -> dict[str, Any]:
    """Return MongoDB's `$jsonSchema` for a contract."""
    # Resolved through the class so that annotations written as strings are types here.
    hints = typing.get_type_hints(model)
    properties = {}
    required = []
    for name, field in model.model_fields.items():
        stored = field.alias or name
        properties[stored] = _property(hints[name])
        if field.is_required():
            required.append(stored)
    return {
        "$jsonSchema": {
            "bsonType": "object",
            "required": sorted(required),
            "properties": properties,
            "additionalProperties": False,
        }
    }


def _property(hint: Any) -> dict[str, Any]:
    origin = get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return {"bsonType": sorted({name for arm in get_args(hint) for name in _property(arm)["bsonType"]})}
    if origin is Literal:
        return {"bsonType": ["string"], "enum": [str(value) for value in get_args(hint)]}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"bsonType": ["string"], "enum": [member.value for member in hint]}
    return {"bsonType": _BSON_TYPES[origin or hint]}


def _create(database: Database[Row], name: str) -> None:
    from pymongo.errors import OperationFailure

    try:
        database.create_collection(name)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:  # another process was quicker, which is as good
            raise
