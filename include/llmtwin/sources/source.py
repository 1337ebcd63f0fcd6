"""What every source is, and what a crawl of one link gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import ValidationError

from llmtwin.documents import RawArticle, RawDocument, Repository, User, content_hash, document_id
from llmtwin.documents.contract import Kind
from llmtwin.errors import SourceError, UnreadableError
from llmtwin.settings import Settings


@dataclass
class Crawl:
    """One crawl of one registered link, in progress until `documents` is exhausted.

    What fails for one document goes into `failures` and the rest goes on; what fails for the link as a whole is raised
    by `Source.crawl` before there is a `Crawl`.
    """

    source_link: str
    """Canonical link of the crawl, the `source_link` of all its documents."""
    documents: Iterator[RawDocument] = field(default_factory=lambda: iter(()))
    """Streamed: read once, in the order of the source."""
    repository: Repository | None = None
    """The parent of a repository's files; set when `documents` is exhausted."""
    skipped: Counter[str] = field(default_factory=Counter)
    """How many items were left out on purpose, by reason."""
    failures: list[SourceError] = field(default_factory=list)
    complete: bool = False
    """True once all that the source holds was seen, so that a stored document not among these has truly vanished."""


class Source(ABC):
    """A place where authors publish. A new one is a file with a subclass, and a row in the dispatcher's table."""

    name: ClassVar[str]

    @abstractmethod
    def accepts(self, link: str) -> bool:
        """Return whether this source is the one for the link. Asks no server."""

    @abstractmethod
    def crawl(self, link: str, author: User, settings: Settings) -> Crawl:
        """Start the crawl of a link.

        Raises:
            SourceError: The link as a whole cannot be crawled; its subclass says in which way.
        """


def article(
    link: str,
    content: str,
    *,
    author: User,
    platform: str,
    source_link: str,
    title: str | None = None,
    published_at: datetime | None = None,
) -> RawArticle:
    """Return the raw article at this canonical link.

    Raises:
        UnreadableError: The content is no text, or none is left of it.
    """
    try:
        return RawArticle(
            id=document_id(Kind.ARTICLE, link),
            author_id=author.id,
            author_full_name=author.full_name,
            platform=platform,
            link=link,
            source_link=source_link,
            title=title,
            published_at=published_at,
            crawled_at=datetime.now(UTC),
            content=content,
            content_hash=content_hash(content),
        )
    except ValidationError as error:
        raise UnreadableError(link, contract_problems(error)) from error


def readable(path: bytes) -> str:
    """Return a path to read, its bytes that are not UTF-8 as ``\\xNN``; what names the file is its link."""
    return path.decode("utf-8", "backslashreplace")


def contract_problems(error: ValidationError) -> str:
    """Return which fields break the contract, and how."""
    return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
