"""Registered sources: the links that are crawled again on schedule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID, uuid5

from pydantic import Field
from pymongo.database import Database

from llmtwin.documents import Contract, User, canonical_link
from llmtwin.documents.contract import FilledText, Text, Timestamp
from llmtwin.documents.identity import NAMESPACE
from llmtwin.errors import WarehouseError
from llmtwin.warehouse.connection import Row


class RegisteredSource(Contract):
    """A link an author's writing comes from. One per author and link."""

    collection: ClassVar[str] = "sources"

    id: UUID = Field(alias="_id", description="UUIDv5 of (author, canonical link)")
    author_id: UUID
    author_full_name: FilledText
    link: FilledText = Field(description="as it can be reached: what the user gave, local paths made absolute")
    registered_at: Timestamp
    last_crawled_at: Timestamp | None = None
    last_error: Text | None = Field(default=None, description="why the last crawl failed; null after a good one")
    last_counts: dict[str, int] = Field(default_factory=dict, description="documents by what the last crawl did")


def register_source(database: Database[Row], author: User, link: str) -> RegisteredSource:
    """Return the registered source of this author and link, created if it is new."""
    source = RegisteredSource(
        id=uuid5(NAMESPACE, f"source:{author.id}:{canonical_link(link)}"),
        author_id=author.id,
        author_full_name=author.full_name,
        link=link,
        registered_at=datetime.now(UTC),
    )
    collection = database[RegisteredSource.collection]
    row = source.model_dump(by_alias=True)
    collection.update_one({"_id": source.id}, {"$setOnInsert": row}, upsert=True)
    stored = collection.find_one({"_id": source.id})
    return RegisteredSource.model_validate(stored)


def registered_sources(database: Database[Row]) -> list[RegisteredSource]:
    """Return all registered sources, oldest first."""
    rows = database[RegisteredSource.collection].find().sort("registered_at", 1)
    return [RegisteredSource.model_validate(row) for row in rows]


def find_source(database: Database[Row], source_id: UUID | str) -> RegisteredSource:
    """Return a registered source.

    Raises:
        WarehouseError: It is not registered (any more).
    """
    row = database[RegisteredSource.collection].find_one({"_id": UUID(str(source_id))})
    if row is None:
        raise WarehouseError(f"source {source_id} is not registered any more; trigger the crawl with its link again")
    return RegisteredSource.model_validate(row)


def finish_crawl(
    database: Database[Row], source: RegisteredSource, counts: dict[str, int] | None = None, error: str | None = None
) -> None:
    """Record when a source was crawled and what that did: counts after a good crawl, an error after a failed one."""
    # A server's words may be in it, and what its contract would refuse here would make all sources unreadable.
    told = error and error.encode(errors="backslashreplace").decode().replace("\0", "\\0")
    outcome = {"last_crawled_at": datetime.now(UTC), "last_error": told, "last_counts": counts or {}}
    database[RegisteredSource.collection].update_one({"_id": source.id}, {"$set": outcome})
