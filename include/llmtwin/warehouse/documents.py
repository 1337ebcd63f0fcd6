"""Writing crawled documents: no write for what is unchanged, a delete for what vanished.

A document belongs to the live source that brought it first: its crawls update it and notice when it vanishes. Another
live source takes it over once the first is no longer registered or no longer has it. What an export brought, any live
source takes over; an export overwrites only what an export brought.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pymongo import ReplaceOne
from pymongo.database import Database

from llmtwin.documents import KIND_OF_COLLECTION, RawDocument, Repository, User, canonical_link
from llmtwin.sources import Crawl
from llmtwin.sources.source import Known
from llmtwin.warehouse.connection import Row
from llmtwin.warehouse.misses import Miss, batches, delete_documents, forgive, missed_ids, record_misses
from llmtwin.warehouse.registry import RegisteredSource, is_registered

# JSON escaping can double a text, and RabbitMQ 4 refuses messages over 16 MiB.
MAX_CONTENT_BYTES = 7_500_000
HELD = "held by another source"
_BATCH = 200
_EXPORT = "export:"
# What may differ between two crawls of an unchanged page.
_VOLATILE = {"crawled_at", "content"}


@dataclass
class StoreResult:
    """What one crawl changed in MongoDB, in documents."""

    found: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    missed: int = 0
    """Not found for the first time; deleted when the next crawl does not find them either."""
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


def known(database: Database[Row], author: User) -> Known:
    """Return what tells a crawl of this author's sources which versions are stored: see `llmtwin.sources.Source`."""

    def ask(source_link: str) -> Mapping[str, str]:
        of_source = {"source_link": source_link, "author_id": author.id}
        marks: dict[str, str] = {}
        for name in KIND_OF_COLLECTION:
            rows = database[name].find(of_source, {"_id": 0, "link": 1, "content_hash": 1, "blob_id": 1})
            marks.update((row["link"], row.get("blob_id") or row["content_hash"]) for row in rows)
        for repository in database[Repository.collection].find(of_source, {"link": 1, "commit": 1, "left_out": 1}):
            marks[repository["link"]] = repository["commit"]
            marks.update(repository.get("left_out", {}))
        return marks

    return ask


def store_crawl(database: Database[Row], crawl: Crawl, author: User) -> StoreResult:
    """Write what a crawl yields, then see to what its source no longer has.

    A document that a complete crawl missed is deleted when the next one misses it too, a repository's file at once.
    What failed is not missed. A document that another author's source already holds stays theirs and is reported.

    Raises:
        SourceError: The source failed as a whole; what was written before stays.
    """
    began = datetime.now(UTC)
    result = StoreResult()
    skipped: Counter[str] = Counter()
    seen: set[UUID] = set()
    for batch in batches(crawl.documents, _BATCH):
        result.found += len(batch)
        seen.update(document.id for document in batch)
        _write(database, list(_fitting(batch, result)), crawl.source_link, author, result, skipped)
    result.found += len(crawl.unchanged)
    result.unchanged += len(crawl.unchanged)
    result.skipped = dict(crawl.skipped + skipped)
    result.failed += [str(error) for error in crawl.failures]
    _forgive_unchanged(database, crawl, author)
    if crawl.complete:
        _see_to_vanished(database, crawl, author, seen, result, began)
    if crawl.repository is not None:
        _store_repository(database, crawl.repository)
    return result


def store_miss(database: Database[Row], source: RegisteredSource) -> StoreResult:
    """Count a crawl that found the whole source gone as a miss of all its documents."""
    began = datetime.now(UTC)
    result = StoreResult()
    for name, rows in _documents_of(database, source.source_link, source.author_id):
        result.deleted += (deleted := record_misses(database, name, rows, began))
        result.missed += len(rows) - deleted
    return result


def has_documents(database: Database[Row], source: RegisteredSource) -> bool:
    """Return whether any stored document belongs to this source."""
    return any(rows for _, rows in _documents_of(database, source.source_link, source.author_id))


def _fitting(batch: Iterable[RawDocument], result: StoreResult) -> Iterator[RawDocument]:
    for document in batch:
        size = len(document.content.encode())
        if size <= MAX_CONTENT_BYTES:
            yield document
        else:
            result.failed.append(f"{document.link!r}: {size:,} bytes of text; at most {MAX_CONTENT_BYTES:,} are stored")


def _write(
    database: Database[Row],
    documents: list[RawDocument],
    source_link: str,
    author: User,
    result: StoreResult,
    skipped: Counter[str],
) -> None:
    by_collection: dict[str, list[RawDocument]] = {}
    for document in documents:
        by_collection.setdefault(document.collection, []).append(document)
    # That an export has it does not say that it is still there.
    missed = set() if source_link.startswith(_EXPORT) else missed_ids(database, [one.id for one in documents])
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
                missed.discard(document.id)
                continue
            elif _is_held(database, before, source_link, missed):
                if before["content_hash"] == row["content_hash"]:
                    result.unchanged += 1
                else:
                    skipped[HELD] += 1
                continue
            elif _comparable(before) == _comparable(row):
                result.unchanged += 1
                continue
            else:
                result.changed += 1
            writes.append(ReplaceOne({"_id": document.id}, row, upsert=True))
        if writes:
            collection.bulk_write(writes, ordered=False)
    forgive(database, missed)


def _is_held(database: Database[Row], before: Row, source_link: str, missed: set[UUID]) -> bool:
    """Return whether a stored document is not this source's to overwrite."""
    holder = before["source_link"]
    if holder == source_link or holder.startswith(_EXPORT):
        return False
    if source_link.startswith(_EXPORT):
        return True
    return before["_id"] not in missed and is_registered(database, holder, before["author_id"])


def _comparable(row: Row) -> Row:
    # BSON dates have milliseconds, Python's microseconds.
    return {
        name: value.replace(microsecond=value.microsecond // 1000 * 1000) if isinstance(value, datetime) else value
        for name, value in row.items()
        if name not in _VOLATILE
    }


def _forgive_unchanged(database: Database[Row], crawl: Crawl, author: User) -> None:
    misses = database[Miss.collection].find({"source_link": crawl.source_link, "author_id": author.id})
    forgive(database, [row["_id"] for row in misses if row["link"] in crawl.unchanged])


def _see_to_vanished(
    database: Database[Row], crawl: Crawl, author: User, seen: set[UUID], result: StoreResult, began: datetime
) -> None:
    there = crawl.unchanged | {link for error in crawl.failures for link in (error.link, canonical_link(error.link))}
    for name, rows in _documents_of(database, crawl.source_link, author.id):
        vanished = [row for row in rows if row["_id"] not in seen and row["link"] not in there]
        if crawl.repository is not None:
            result.deleted += delete_documents(database, name, [row["_id"] for row in vanished])
        else:
            result.deleted += (deleted := record_misses(database, name, vanished, began))
            result.missed += len(vanished) - deleted


def _documents_of(database: Database[Row], source_link: str | None, author_id: UUID) -> Iterator[tuple[str, list[Row]]]:
    """Yield the collections with the identity of the documents of a source in each; none before its first crawl."""
    of_source = {"source_link": source_link, "author_id": author_id}
    for name in KIND_OF_COLLECTION if source_link else ():
        yield name, list(database[name].find(of_source, {"author_id": 1, "source_link": 1, "link": 1}))


def _store_repository(database: Database[Row], repository: Repository) -> None:
    database[Repository.collection].replace_one(
        {"_id": repository.id}, repository.model_dump(by_alias=True), upsert=True
    )
