"""State 1, raw: a document as it was crawled, text untouched. Lives in MongoDB."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from llmtwin.documents.contract import ContentHash, Contract, FilledText, Kind, Published, RepositoryFile, Timestamp


class Raw(Published):
    """What every raw document carries."""

    collection: ClassVar[str]

    id: UUID = Field(alias="_id", description="UUIDv5 of (kind, canonical link)")
    kind: Kind
    source_link: FilledText = Field(description="the registered link whose crawl yields this document")
    crawled_at: Timestamp
    content: FilledText = Field(description="the text as published; Markdown for pages, source text for code")
    content_hash: ContentHash = Field(description="SHA-256 of content")


class RawPost(Raw):
    """A short post, whole in itself. One per post."""

    collection = "posts"
    kind: Literal[Kind.POST] = Kind.POST


class RawArticle(Raw):
    """An article as Markdown. One per page or Markdown file."""

    collection = "articles"
    kind: Literal[Kind.ARTICLE] = Kind.ARTICLE


class RawRepositoryFile(Raw, RepositoryFile):
    """One source file of a repository. White space is kept as it is in the blob."""

    collection = "repository_files"
    kind: Literal[Kind.REPOSITORY] = Kind.REPOSITORY
    blob_id: str = Field(pattern=r"^[0-9a-f]{40,64}$", description="git's identifier of this file's content")


class Repository(Contract):
    """The parent of a repository's files: what was crawled, at which commit. Carries no text of its own."""

    collection: ClassVar[str] = "repositories"

    id: UUID = Field(alias="_id", description="UUIDv5 of (kind, canonical link)")
    author_id: UUID
    author_full_name: FilledText
    link: FilledText
    source_link: FilledText | None = Field(default=None, description="the registered link whose crawl yields it")
    name: FilledText
    commit: str = Field(pattern=r"^[0-9a-f]{40,64}$")
    files: int = Field(ge=0, description="files crawled")
    skipped: dict[str, int] = Field(default_factory=dict, description="files left out, by reason")
    left_out: dict[str, str] = Field(
        default_factory=dict, description="why files were left out that need not be looked into again, by version"
    )
    crawled_at: Timestamp


RawDocument = RawPost | RawArticle | RawRepositoryFile
RAW_TYPES: dict[Kind, type[RawDocument]] = {
    Kind.POST: RawPost,
    Kind.ARTICLE: RawArticle,
    Kind.REPOSITORY: RawRepositoryFile,
}
# Which kind lives in which watched MongoDB collection.
KIND_OF_COLLECTION: dict[str, Kind] = {raw.collection: kind for kind, raw in RAW_TYPES.items()}
