"""The types that travel: users, documents in their four states, and the event.

::

    Raw ──clean──▶ Cleaned ──chunk──▶ Chunk ──embed──▶ Embedded
    (MongoDB)      (Qdrant, no vector)                 (Qdrant)
"""

from llmtwin.documents.chunks import (
    CHUNK_TYPES,
    EMBEDDED_TYPES,
    ArticleChunk,
    Chunk,
    DocumentChunk,
    EmbeddedArticleChunk,
    EmbeddedChunk,
    EmbeddedPostChunk,
    EmbeddedRepositoryChunk,
    PostChunk,
    RepositoryChunk,
)
from llmtwin.documents.cleaned import (
    CLEANED_TYPES,
    Cleaned,
    CleanedArticle,
    CleanedDocument,
    CleanedPost,
    CleanedRepositoryFile,
)
from llmtwin.documents.contract import Contract, Kind
from llmtwin.documents.event import CONTENT_TYPE, SCHEMA_VERSION, Event, Operation
from llmtwin.documents.identity import canonical_link, chunk_id, content_hash, document_id, event_id, user_id
from llmtwin.documents.raw import (
    KIND_OF_COLLECTION,
    RAW_TYPES,
    Raw,
    RawArticle,
    RawDocument,
    RawPost,
    RawRepositoryFile,
    Repository,
)
from llmtwin.documents.users import User

__all__ = [
    "CHUNK_TYPES",
    "CLEANED_TYPES",
    "CONTENT_TYPE",
    "EMBEDDED_TYPES",
    "KIND_OF_COLLECTION",
    "RAW_TYPES",
    "SCHEMA_VERSION",
    "ArticleChunk",
    "Chunk",
    "Cleaned",
    "CleanedArticle",
    "CleanedDocument",
    "CleanedPost",
    "CleanedRepositoryFile",
    "Contract",
    "DocumentChunk",
    "EmbeddedArticleChunk",
    "EmbeddedChunk",
    "EmbeddedPostChunk",
    "EmbeddedRepositoryChunk",
    "Event",
    "Kind",
    "Operation",
    "PostChunk",
    "Raw",
    "RawArticle",
    "RawDocument",
    "RawPost",
    "RawRepositoryFile",
    "Repository",
    "RepositoryChunk",
    "User",
    "canonical_link",
    "chunk_id",
    "content_hash",
    "document_id",
    "event_id",
    "user_id",
]
