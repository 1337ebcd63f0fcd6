"""Posts: short, plain text."""

from __future__ import annotations

from llmtwin.documents import CleanedDocument, Kind
from llmtwin.features import layout
from llmtwin.features.cleaning import clean_prose
from llmtwin.features.handler import Handler
from llmtwin.features.layout import Layout


class PostHandler(Handler):
    """Cuts at paragraphs, lines, sentences, words."""

    kind = Kind.POST

    def clean_text(self, text: str) -> str:
        """Return plain characters, without emoji or URLs if the settings say so."""
        return clean_prose(text, drop_emoji=self.settings.clean_drop_emoji, drop_urls=self.settings.clean_drop_urls)

    def layout(self, cleaned: CleanedDocument) -> Layout:
        """Return the layout of plain text."""
        return layout.prose(cleaned.content)

    @property
    def overlap(self) -> int:
        """Tokens shared by neighbouring chunks."""
        return self.settings.chunk_overlap_post
