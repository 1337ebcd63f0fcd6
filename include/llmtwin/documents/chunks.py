"""States 3 and 4: a piece of a document that fits the embedding model's window, without and with its vector."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from llmtwin.documents.contract import ContentHash, Contract, FilledText, Kind, Published, RepositoryFile, Version


class Chunk(Published):
    """What every chunk carries. Source: the cleaned document of `document_id`."""

    chunk_id: UUID = Field(description="UUIDv5 of (document_id, position)")
    document_id: UUID
    kind: Kind
    position: int = Field(ge=0, description="place in the document, from 0, without gaps")
    version: Version
    content: FilledText = Field(description="the piece of text exactly as written")
    content_hash: ContentHash = Field(description="SHA-256 of content")
    embedding_model: FilledText = Field(description="the model whose window this piece fits")


class PostChunk(Chunk):
    """A piece of a post."""

    kind: Literal[Kind.POST] = Kind.POST


class ArticleChunk(Chunk):
    """A piece of an article."""

    kind: Literal[Kind.ARTICLE] = Kind.ARTICLE


class RepositoryChunk(Chunk, RepositoryFile):
    """A piece of a source file; an answer can cite its path and lines."""

    kind: Literal[Kind.REPOSITORY] = Kind.REPOSITORY
    start_line: int = Field(ge=1, description="first line, from 1")
    end_line: int = Field(ge=1, description="last line, included")


class Embedded(Contract):
    """A chunk's vector."""

    dense: list[float] = Field(min_length=1, description="unit length, as long as the model's dimension")


class EmbeddedPostChunk(PostChunk, Embedded):
    """An embedded piece of a post."""


class EmbeddedArticleChunk(ArticleChunk, Embedded):
    """An embedded piece of an article."""


class EmbeddedRepositoryChunk(RepositoryChunk, Embedded):
    """An embedded piece of a source file."""


DocumentChunk = PostChunk | ArticleChunk | RepositoryChunk
EmbeddedChunk = EmbeddedPostChunk | EmbeddedArticleChunk | EmbeddedRepositoryChunk
CHUNK_TYPES: dict[Kind, type[DocumentChunk]] = {
    Kind.POST: PostChunk,
    Kind.ARTICLE: ArticleChunk,
    Kind.REPOSITORY: RepositoryChunk,
}
EMBEDDED_TYPES: dict[Kind, type[EmbeddedChunk]] = {
    Kind.POST: EmbeddedPostChunk,
    Kind.ARTICLE: EmbeddedArticleChunk,
    Kind.REPOSITORY: EmbeddedRepositoryChunk,
}
