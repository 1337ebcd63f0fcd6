"""Registered sources: the links that are crawled again on schedule."""

from __future__ import annotations

from collections.abc import Iterable
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
    by_hand: bool = Field(default=True, description="given in the form or on the command line")
    declared: bool = Field(default=False, description="stands in sources.yaml")
    listed_by: UUID | None = Field(default=None, description="the registered source that stands for this and others")
    listed: bool = Field(default=True, description="whether that one named it when it was asked last")
    source_link: FilledText | None = Field(default=None, description="of its documents; null before the first crawl")
    last_crawled_at: Timestamp | None = None
    last_error: Text | None = Field(default=None, description="why the last crawl failed; null after a good one")
    last_counts: dict[str, int] = Field(default_factory=dict, description="documents by what the last crawl did")


def source_id(author: User, link: str) -> UUID:
    """Return the identifier of the registered source of this author and link."""
    return uuid5(NAMESPACE, f"source:{author.id}:{canonical_link(link)}")


def register_source(
    database: Database[Row],
    author: User,
    link: str,
    *,
    declared: bool = False,
    listed_by: UUID | None = None,
) -> RegisteredSource:
    """Return the registered source of this author and link, created if it is new.

    Args:
        database: The warehouse.
        author: Whose writing it is.
        link: As it can be reached.
        declared: It stands in sources.yaml.
        listed_by: The registered source that stands for it; with neither of both it was given by hand.
    """
    why: Row = {"declared": True} if declared else {"by_hand": True}
    if listed_by is not None:
        why = {"listed_by": listed_by, "listed": True}
    source = RegisteredSource(
        id=source_id(author, link),
        author_id=author.id,
        author_full_name=author.full_name,
        link=link,
        registered_at=datetime.now(UTC),
        by_hand=False,
    )
    new = {name: value for name, value in source.model_dump(by_alias=True).items() if name not in why}
    collection = database[RegisteredSource.collection]
    collection.update_one({"_id": source.id}, {"$setOnInsert": new, "$set": why}, upsert=True)
    return RegisteredSource.model_validate(collection.find_one({"_id": source.id}))


def withdraw_declared(database: Database[Row], keep: Iterable[UUID]) -> None:
    """Take every source but these for one that no longer stands in sources.yaml; forget what nothing else names."""
    collection = database[RegisteredSource.collection]
    for row in collection.find({"declared": True, "_id": {"$nin": list(keep)}}):
        collection.update_one({"_id": row["_id"]}, {"$set": {"declared": False}})
        _forget_unnamed(database, row["_id"])


def mark_unlisted(database: Database[Row], source: RegisteredSource) -> None:
    """Record that the source which stands for this one did not name it."""
    database[RegisteredSource.collection].update_one({"_id": source.id}, {"$set": {"listed": False}})


def withdraw_listed(database: Database[Row], source: RegisteredSource) -> None:
    """Take a source for one that no other stands for any more; forget it if nothing else names it."""
    database[RegisteredSource.collection].update_one({"_id": source.id}, {"$set": {"listed_by": None}})
    _forget_unnamed(database, source.id)


def forget_source(database: Database[Row], source: RegisteredSource) -> None:
    """Crawl this link, and those that it alone stands for, no more; their documents stay.

    Raises:
        WarehouseError: It stands in sources.yaml, which would register it again.
    """
    if source.declared:
        raise WarehouseError(f"{source.link!r} stands in sources.yaml: remove it there")
    change = {"$set": {"by_hand": False, "listed_by": None}}
    database[RegisteredSource.collection].update_one({"_id": source.id}, change)
    _forget_unnamed(database, source.id)


def _forget_unnamed(database: Database[Row], source_id: UUID) -> None:
    """Forget a source that is neither given by hand, nor declared, nor listed; then those that it listed."""
    collection = database[RegisteredSource.collection]
    # A row of an earlier version, without the field, was given by hand.
    nowhere = {"_id": source_id, "by_hand": False, "declared": {"$ne": True}, "listed_by": None}
    if collection.delete_one(nowhere).deleted_count:
        for row in collection.find({"listed_by": source_id}):
            withdraw_listed(database, RegisteredSource.model_validate(row))


def registered_sources(database: Database[Row]) -> list[RegisteredSource]:
    """Return all registered sources, oldest first."""
    rows = database[RegisteredSource.collection].find().sort("registered_at", 1)
    return [RegisteredSource.model_validate(row) for row in rows]


def is_registered(database: Database[Row], source_link: str, author_id: UUID) -> bool:
    """Return whether documents of this source link come from a source that is still crawled."""
    of_source = {"source_link": source_link, "author_id": author_id}
    return database[RegisteredSource.collection].find_one(of_source, {"_id": 1}) is not None


def find_source(database: Database[Row], source_id: UUID | str) -> RegisteredSource:
    """Return a registered source.

    Raises:
        WarehouseError: It is not registered (any more).
    """
    row = database[RegisteredSource.collection].find_one({"_id": UUID(str(source_id))})
    if row is None:
        raise WarehouseError(f"source {source_id} is not registered any more; trigger the crawl with its link again")
    return RegisteredSource.model_validate(row)


def begin_crawl(database: Database[Row], source: RegisteredSource, source_link: str) -> None:
    """Record, before the first document is written, what the documents of this source say where they come from."""
    change = {"$set": {"source_link": source_link}}
    database[RegisteredSource.collection].update_one({"_id": source.id}, change)


def finish_crawl(
    database: Database[Row], source: RegisteredSource, counts: dict[str, int] | None = None, error: str | None = None
) -> None:
    """Record when a source was crawled and what that did: counts after a crawl, an error after one that failed."""
    # A server's words may be in it, and what its contract would refuse here would make all sources unreadable.
    told = error and error.encode(errors="backslashreplace").decode().replace("\0", "\\0")
    outcome = {"last_crawled_at": datetime.now(UTC), "last_error": told, "last_counts": counts or {}}
    database[RegisteredSource.collection].update_one({"_id": source.id}, {"$set": outcome})
