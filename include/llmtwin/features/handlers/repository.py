"""Files of repositories: code, whose white space is meaning."""

from __future__ import annotations

from typing import Any

from llmtwin.documents import CleanedDocument, CleanedRepositoryFile, Kind
from llmtwin.features import layout
from llmtwin.features.cleaning import clean_code
from llmtwin.features.handler import Handler
from llmtwin.features.layout import Layout
from llmtwin.features.markdown import Span


class RepositoryHandler(Handler):
    """Cuts at definitions of the file's language; chunks know their lines."""

    kind = Kind.REPOSITORY

    def clean_text(self, text: str) -> str:
        """Return the source as it is, line ends aside."""
        return clean_code(text)

    def layout(self, cleaned: CleanedDocument) -> Layout:
        """Return the layout of the file's language."""
        return layout.code(cleaned.content, _file(cleaned).language)

    @property
    def overlap(self) -> int:
        """Tokens shared by neighbouring chunks."""
        return self.settings.chunk_overlap_repository

    def chunk_fields(self, cleaned: CleanedDocument, span: Span) -> dict[str, Any]:
        """Return the file's place and the chunk's lines, counted from 1, last included."""
        file = _file(cleaned)
        start, end = span
        first = file.content.count("\n", 0, start) + 1
        return {
            "repository_id": file.repository_id,
            "path": file.path,
            "language": file.language,
            "start_line": first,
            "end_line": first + file.content.count("\n", start, end),
        }


def _file(cleaned: CleanedDocument) -> CleanedRepositoryFile:
    if not isinstance(cleaned, CleanedRepositoryFile):
        raise TypeError(f"a {Kind.REPOSITORY} handler was given a {cleaned.kind}")
    return cleaned
