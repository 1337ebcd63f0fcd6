"""Documents for tests, valid unless told otherwise."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from llmtwin.documents import (
    Event,
    Kind,
    Operation,
    RawArticle,
    RawDocument,
    RawPost,
    RawRepositoryFile,
    User,
    content_hash,
    document_id,
    event_id,
)

if TYPE_CHECKING:
    from pymongo.database import Database

AUTHOR = User.named("Ana Núñez")
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def article(number: int | str = 0, content: str = "A text that says something.", **changes: Any) -> RawArticle:
    """Return the article of this number."""
    return RawArticle(**_common(Kind.ARTICLE, f"https://example.org/articles/{number}", content) | changes)


def post(number: int = 0, content: str = "A short post.", **changes: Any) -> RawPost:
    """Return the post of this number."""
    return RawPost(**_common(Kind.POST, f"https://example.org/posts/{number}", content) | changes)


def source_file(
    number: int = 0, content: str = "def add(a, b):\n    return a + b\n", **changes: Any
) -> RawRepositoryFile:
    """Return the repository file of this number."""
    link = f"https://example.org/repo/blob/main/file_{number}.py"
    fields = {
        "repository_id": document_id("repository", "https://example.org/repo"),
        "path": f"file_{number}.py",
        "language": "python",
        "blob_id": "0" * 40,
    }
    return RawRepositoryFile(**_common(Kind.REPOSITORY, link, content) | fields | changes)


def store(database: Database[dict[str, Any]], *documents: RawDocument) -> None:
    """Write these documents into the warehouse, in place of earlier versions."""
    for document in documents:
        database[document.collection].replace_one({"_id": document.id}, row_of(document), upsert=True)


def row_of(document: RawDocument) -> dict[str, Any]:
    """Return a document as MongoDB holds it."""
    return document.model_dump(by_alias=True) | {"kind": str(document.kind)}


def event(document: Any, version: int = 1, op: Operation = Operation.CREATE) -> Event:
    """Return the event that says this document was written."""
    body = None if op is Operation.DELETE else document.model_dump(mode="json", by_alias=True)
    return event_of(document.id, document.kind, version, op, body)


def event_of(id_: UUID, kind: Kind, version: int, op: Operation, body: dict[str, Any] | None) -> Event:
    """Return an event with any body."""
    return Event(
        event_id=event_id(id_, version, op),
        op=op,
        kind=kind,
        document_id=id_,
        version=version,
        document=body,
        emitted_at=WHEN,
    )


def _common(kind: Kind, link: str, content: str) -> dict[str, Any]:
    return {
        "id": document_id(kind, link),
        "author_id": AUTHOR.id,
        "author_full_name": AUTHOR.full_name,
        "platform": "example.org",
        "link": link,
        "source_link": "https://example.org",
        "title": "Título",
        "published_at": WHEN,
        "crawled_at": WHEN,
        "content": content,
        "content_hash": content_hash(content),
    }
