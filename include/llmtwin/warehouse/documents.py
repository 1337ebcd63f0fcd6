"""Writing crawled documents: no write for what is unchanged, a delete for what vanished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from pymongo import ReplaceOne
from pymongo.database import Database

from llmtwin.documents import KIND_OF_COLLECTION, RawDocument, Repository, User
from llmtwin.sources import Crawl
from llmtwin.warehouse.connection import Row

# JSON escaping can double a text, and RabbitMQ 4 refuses messages over 16 MiB.
MAX_CONTENT_BYTES = 7_500_000
_BATCH = 200
# What may differ between two crawls of an unchanged page.
_VOLATILE = {"crawled_at", "content"}


@dataclass
class StoreResult:
    """What one crawl changed in MongoDB, in documents."""

    found: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain values for XCom and tables."""
        return dict(vars(self))


def get_or_create_user(database: Database[Row], full_name: str) -> User:
    """Return the author of this name, stored once."""
    user = User.named(full_name)
    database["users"].update_one({"_id": user.id}, {"$setOnInsert": user.model_dump(by_alias=True)}, upsert=True)
    return User.model_validate(database["users"].find_one({"_id": user.id}))


def store_crawl(database: Database[Row], crawl: Crawl, author: User) -> StoreResult:
    """Write what a crawl yields, then delete what its source no longer has.

    Nothing is deleted unless the crawl saw everything: a failed page is not a vanished one. A document that another
    author's source already holds stays theirs and is reported.

    Raises:
        SourceError: The source failed as a whole; what was written before stays.
    """
    result = StoreResult()
    seen: set[UUID] = set()
    documents = iter(crawl.documents)
    while batch := list(islice(documents, _BATCH)):
        result.found += len(batch)
        seen.update(document.id for document in batch)
        _write(database, _fitting(batch, result), author, result)
    result.skipped = dict(crawl.skipped)
    result.failed += [str(error) for error in crawl.failures]
    if crawl.complete:
        result.deleted = _delete_vanished(database, crawl.source_link, author, seen)
    if crawl.repository is not None:
        _store_repository(database, crawl.repository)
    return result


def _fitting(batch: Iterable[RawDocument], result: StoreResult) -> Iterator[RawDocument]:
    for document in batch:
        size = len(document.content.encode())
        if size <= MAX_CONTENT_BYTES:
            yield document
        else:
            result.failed.append(f"{document.link!r}: {size:,} bytes of text; at most {MAX_CONTENT_BYTES:,} are stored")


def _write(database: Database[Row], documents: Iterable[RawDocument], author: User, result: StoreResult) -> None:
    by_collection: dict[str, list[RawDocument]] = {}
    for document in documents:
        by_collection.setdefault(document.collection, []).append(document)
    for name, group in by_collection.items():
        collection = database[name]
        ids = [document.id for document in group]
        stored = {row["_id"]: row for row in collection.find({"_id": {"$in": ids}}, {"content": 0})}
        writes = []
        for document in group:
            row = document.model_dump(by_alias=True, mode="python")
            row["kind"] = str(document.kind)
            before = stored.get(document.id)
            if before is None:
                result.new += 1
            elif before["author_id"] != author.id:
                result.failed.append(f"{document.link!r}: already belongs to {before['author_full_name']}; left alone")
                continue
            elif _comparable(before) == _comparable(row):
                result.unchanged += 1
                continue
            else:
                result.changed += 1
            writes.append(ReplaceOne({"_id": document.id}, row, upsert=True))
        if writes:
            collection.bulk_write(writes, ordered=False)


def _comparable(row: Row) -> Row:
    # BSON dates have milliseconds, Python's microseconds.
    return {
        name: value.replace(microsecond=value.microsecond // 1000 * 1000) if isinstance(value, datetime) else value
        for name, value in row.items()
        if name not in _VOLATILE
    }


def _delete_vanished(database: Database[Row], source_link: str, author: User, seen: set[UUID]) -> int:
    deleted = 0
    for name in KIND_OF_COLLECTION:
        collection = database[name]
        rows = collection.find({"source_link": source_link, "author_id": author.id}, {"_id": 1})
        vanished = [row["_id"] for row in rows if row["_id"] not in seen]
        for start in range(0, len(vanished), 1000):
            deleted += collection.delete_many({"_id": {"$in": vanished[start : start + 1000]}}).deleted_count
    return deleted


def _store_repository(database: Database[Row], repository: Repository) -> None:
    database[Repository.collection].replace_one(
        {"_id": repository.id}, repository.model_dump(by_alias=True), upsert=True
    )
