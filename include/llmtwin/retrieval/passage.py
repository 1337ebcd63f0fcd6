"""What retrieval gives: passages, and what was done for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from llmtwin.documents import Kind


@dataclass(frozen=True)
class Passage:
    """A piece of a document, exactly as written, and where to read it."""

    chunk_id: UUID
    """The chunk that was found."""
    document_id: UUID
    kind: Kind
    title: str | None
    link: str
    author: str | None
    """Full name; None for a page that was given by its link, whose author nobody has named."""
    platform: str
    content: str
    score: float
    """Higher is better: the reranker's where there was one, else the search's. Comparable within one answer only."""
    position: int
    """Of the chunk in its document, from 0."""
    version: int
    path: str | None = None
    """In its repository; None for what is no code, as the next three are."""
    language: str | None = None
    start_line: int | None = None
    """From 1."""
    end_line: int | None = None
    """Included."""
    chunks: tuple[UUID, ...] = ()
    """All chunks that the content is made of, in order: with its neighbours there are several."""

    @classmethod
    def read(cls, payload: Mapping[str, Any], score: float) -> Self:
        """Return the passage that a chunk's payload in Qdrant describes."""
        return cls(
            chunk_id=UUID(payload["chunk_id"]),
            document_id=UUID(payload["document_id"]),
            kind=Kind(payload["kind"]),
            title=payload["title"],
            link=payload["link"],
            author=payload["author_full_name"],
            platform=payload["platform"],
            content=payload["content"],
            score=score,
            position=payload["position"],
            version=payload["version"],
            path=payload.get("path"),
            language=payload.get("language"),
            start_line=payload.get("start_line"),
            end_line=payload.get("end_line"),
            chunks=(UUID(payload["chunk_id"]),),
        )


@dataclass
class Retrieved:
    """The passages for a question, best first, those of links before all others."""

    passages: list[Passage] = field(default_factory=list)
    steps: dict[str, float] = field(default_factory=dict)
    """Seconds that each step took; steps may overlap."""
    notes: list[str] = field(default_factory=list)
    """What could not be done, for the user to read."""
