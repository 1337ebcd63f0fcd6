"""State 2, cleaned: the same document with its text normalised. Lives in Qdrant (`cleaned_<kind>s`) without vectors."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from llmtwin.documents.contract import ContentHash, FilledText, Kind, Published, RepositoryFile, Version


class Cleaned(Published):
    """What every cleaned document carries. Source: the raw document of the same id."""

    document_id: UUID
    kind: Kind
    version: Version
    content: FilledText = Field(description="cleaned text; accents, scripts and code white space as written")
    content_hash: ContentHash = Field(description="SHA-256 of the cleaned content")


class CleanedPost(Cleaned):
    """A cleaned post."""

    kind: Literal[Kind.POST] = Kind.POST


class CleanedArticle(Cleaned):
    """A cleaned article."""

    kind: Literal[Kind.ARTICLE] = Kind.ARTICLE


class CleanedRepositoryFile(Cleaned, RepositoryFile):
    """A cleaned source file."""

    kind: Literal[Kind.REPOSITORY] = Kind.REPOSITORY


CleanedDocument = CleanedPost | CleanedArticle | CleanedRepositoryFile
CLEANED_TYPES: dict[Kind, type[CleanedDocument]] = {
    Kind.POST: CleanedPost,
    Kind.ARTICLE: CleanedArticle,
    Kind.REPOSITORY: CleanedRepositoryFile,
}
