"""What every source is, and what a crawl of one link gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, TypeVar

from pydantic import ValidationError

from llmtwin.documents import RawArticle, RawDocument, RawPost, Repository, User, content_hash, document_id
from llmtwin.documents.contract import Kind
from llmtwin.errors import SourceError, UnreadableError
from llmtwin.settings import Settings

_Raw = TypeVar("_Raw", RawArticle, RawPost)

# What earlier crawls stored of a source, asked for by its canonical link: the mark of the version by the document's
# link. The mark is the blob id of a repository's file, else the content hash. Of a repository there is more: its commit
# by its own link, and why a version of a file was left out by `<blob id>:<language>`.
Known = Callable[[str], Mapping[str, str]]


def nothing_known(_: str) -> Mapping[str, str]:
    """Return what the first crawl of a source knows."""
    return {}


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
    unchanged: set[str] = field(default_factory=set)
    """Links of known documents that were seen to be as they were, without reading them again."""
    skipped: Counter[str] = field(default_factory=Counter)
    """How many items were left out on purpose, by reason."""
    failures: list[SourceError] = field(default_factory=list)
    """One for each document that could not be read, by its own link, and one for whatever else went wrong."""
    complete: bool = False
    """True once all that the source holds was seen: a stored document that is neither yielded, nor unchanged, nor among
    the failures was not there."""


class Source(ABC):
    """A place where authors publish. A new one is a file with a subclass, and a row in the dispatcher's table."""

    name: ClassVar[str]

    @abstractmethod
    def accepts(self, link: str) -> bool:
        """Return whether this source is the one for the link. Asks no server."""

    def expand(self, link: str, settings: Settings) -> list[str]:
        """Return the links that a registered link stands for, each a crawl of its own: the link itself.

        A link that names many independent sources (all repositories of a user) asks its server which these are.

        Raises:
            SourceError: The server does not tell.
        """
        return [link]

    @abstractmethod
    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        """Start the crawl of a link.

        Args:
            link: What was registered.
            author: Whose writing it is.
            settings: Limits, and what may be reached.
            known: What earlier crawls stored; a source that can tell by it what has not changed need not read that.

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
    return _raw(RawArticle, link, content, author, platform, source_link, title, published_at)


def post(
    link: str,
    content: str,
    *,
    author: User,
    platform: str,
    source_link: str,
    published_at: datetime | None = None,
) -> RawPost:
    """Return the raw post at this canonical link.

    Raises:
        UnreadableError: The content is no text, or none is left of it.
    """
    return _raw(RawPost, link, content, author, platform, source_link, None, published_at)


def _raw(
    model: type[_Raw],
    link: str,
    content: str,
    author: User,
    platform: str,
    source_link: str,
    title: str | None,
    published_at: datetime | None,
) -> _Raw:
    kind: Kind = model.model_fields["kind"].default
    try:
        return model(
            id=document_id(kind, link),
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
