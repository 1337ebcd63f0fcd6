"""Misses: documents that their source had no more when it was last crawled.

A page can be away for a day. So what a crawl misses is noted here, and deleted when the next crawl of its source misses
it too. The note lies beside the documents and not in them, because a change there would be an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import ClassVar, TypeVar
from uuid import UUID

from pydantic import Field
from pymongo import ReplaceOne
from pymongo.database import Database

from llmtwin.documents import Contract
from llmtwin.documents.contract import FilledText, Timestamp
from llmtwin.warehouse.connection import Row

_T = TypeVar("_T")


class Miss(Contract):
    """A document that was missed once. One per document, until it is seen again or deleted."""

    collection: ClassVar[str] = "misses"

    id: UUID = Field(alias="_id", description="the document")
    author_id: UUID
    source_link: FilledText
    link: FilledText
    missed_at: Timestamp


def record_misses(database: Database[Row], collection: str, missed: Sequence[Row], began: datetime) -> int:
    """Delete those of the missed documents that were missed before, note the others; return how many were deleted.

    Args:
        database: The warehouse.
        collection: Where the documents are.
        missed: The documents, each with at least `_id`, `author_id`, `source_link` and `link`.
        began: When the crawl did. What was noted since then is by another that ran beside it, and no second miss.
    """
    before = missed_ids(database, [row["_id"] for row in missed], began)
    notes = [
        Miss(
            id=row["_id"],
            author_id=row["author_id"],
            source_link=row["source_link"],
            link=row["link"],
            missed_at=datetime.now(UTC),
        )
        for row in missed
        if row["_id"] not in before
    ]
    if notes:
        database[Miss.collection].bulk_write(
            [ReplaceOne({"_id": note.id}, note.model_dump(by_alias=True), upsert=True) for note in notes], ordered=False
        )
    return delete_documents(database, collection, before)


def delete_documents(database: Database[Row], collection: str, ids: Iterable[UUID]) -> int:
    """Delete documents, and their misses with them; return how many there were."""
    deleted = 0
    for some in batches(ids):
        deleted += database[collection].delete_many({"_id": {"$in": some}}).deleted_count
        forgive(database, some)
    return deleted


def missed_ids(database: Database[Row], ids: Iterable[UUID], before: datetime | None = None) -> set[UUID]:
    """Return which of these documents were missed by the last crawl of their source; before a moment, if given."""
    misses = database[Miss.collection]
    when = {"missed_at": {"$lt": before}} if before else {}
    return {row["_id"] for some in batches(ids) for row in misses.find({"_id": {"$in": some}, **when}, {"_id": 1})}


def forgive(database: Database[Row], ids: Iterable[UUID]) -> None:
    """Forget that these documents were missed: they are there again, or deleted."""
    for some in batches(ids):
        database[Miss.collection].delete_many({"_id": {"$in": some}})


def batches(items: Iterable[_T], size: int = 1000) -> Iterator[list[_T]]:
    """Yield the items in lists that fit into one question to the server."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
