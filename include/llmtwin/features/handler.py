"""What every kind of document has to answer: how its text is cleaned, where it is cut, what its chunks carry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

from llmtwin.documents import (
    CHUNK_TYPES,
    CLEANED_TYPES,
    Chunk,
    CleanedDocument,
    DocumentChunk,
    Kind,
    RawDocument,
    chunk_id,
    content_hash,
)
from llmtwin.errors import NoTextError
from llmtwin.features.chunking import Chunker
from llmtwin.features.embedding.embedder import model_id
from llmtwin.features.embedding.model import Model, open_model
from llmtwin.features.embedding.prompts import document_prompt, model_name
from llmtwin.features.layout import Layout
from llmtwin.features.markdown import Span
from llmtwin.settings import Settings


class Handler(ABC):
    """Cleans and chunks documents of one kind. A subclass in `handlers/` says what is special about its kind.

    Loads no model: cleaning needs none, and chunking needs only its tokenizer.
    """

    kind: ClassVar[Kind]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def clean_text(self, text: str) -> str:
        """Return the text normalised; may be empty."""

    @abstractmethod
    def layout(self, cleaned: CleanedDocument) -> Layout:
        """Return where the document may be cut."""

    @property
    @abstractmethod
    def overlap(self) -> int:
        """Tokens shared by neighbouring chunks."""

    def chunk_fields(self, cleaned: CleanedDocument, span: Span) -> dict[str, Any]:
        """Return what chunks of this kind carry beyond `Chunk`."""
        return {}

    def clean(self, raw: RawDocument, version: int) -> CleanedDocument:
        """Return the document with its text normalised.

        Raises:
            NoTextError: Nothing but white space and invisible characters was in it.
        """
        content = self.clean_text(raw.content)
        if not content.strip():
            raise NoTextError(f"{self.kind} {raw.link}: no text is left after cleaning")
        cleaned = CLEANED_TYPES[self.kind]
        shared = {name: getattr(raw, name) for name in cleaned.model_fields if name in type(raw).model_fields}
        shared |= {"document_id": raw.id, "version": version, "content": content, "content_hash": content_hash(content)}
        return cleaned(**shared)

    def chunk(self, cleaned: CleanedDocument) -> list[DocumentChunk]:
        """Return the document's chunks, positions from 0; the same text gives the same chunks.

        Raises:
            EmbeddingError: The embedding model cannot be found.
        """
        chunk = CHUNK_TYPES[self.kind]
        own = Chunk.model_fields.keys() & type(cleaned).model_fields.keys() - {"content", "content_hash"}
        shared = {name: getattr(cleaned, name) for name in own}
        chunks = []
        for position, (start, end) in enumerate(self._chunker.spans(self.layout(cleaned))):
            content = cleaned.content[start:end]
            identity = {"chunk_id": chunk_id(cleaned.document_id, position), "position": position}
            text = {"content": content, "content_hash": content_hash(content), "embedding_model": self.model_id}
            chunks.append(chunk(**shared, **identity, **text, **self.chunk_fields(cleaned, (start, end))))
        return chunks

    @cached_property
    def model_id(self) -> str:
        """The embedding model that chunks are made for: its name, and a digest of all that its vectors depend on."""
        return model_id(self._model, self.kind)

    @cached_property
    def _model(self) -> Model:
        return open_model(model_name(self.kind, self.settings), self.settings.home)

    @cached_property
    def _chunker(self) -> Chunker:
        return Chunker(self._model, document_prompt(self._model, self.kind), self.overlap)
