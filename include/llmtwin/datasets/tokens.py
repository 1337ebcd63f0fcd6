"""Texts in tokens of the base model, by its own tokenizer."""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from llmtwin.base_model import base_model_path
from llmtwin.errors import DatasetError
from llmtwin.settings import Settings

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend


@dataclass(frozen=True)
class Tokenizer:
    """The base model's tokenizer, which adds nothing and cuts nothing off."""

    backend: Backend

    def count(self, text: str) -> int:
        """Return how many tokens a text has."""
        return len(self.ids(text))

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        return self.backend.encode(text, add_special_tokens=False).ids

    def measure(self, text: str) -> Measure:
        """Return what tells the tokens of any part of a text."""
        return Measure([start for start, _ in self.backend.encode(text, add_special_tokens=False).offsets])

    def has_special(self, text: str) -> bool:
        """Tell whether the model would read a part of the text as the end of a message, say."""
        return bool(self._special and self._special.search(text))

    def defuse(self, text: str) -> str:
        """Return the text with a space inside everything that the model would read as a special token."""
        return self._special.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text) if self._special else text

    @cached_property
    def _special(self) -> re.Pattern[str] | None:
        tokens = [token.content for token in self.backend.get_added_tokens_decoder().values() if token.special]
        # Longest first: a token may begin with another.
        spelled = sorted((token for token in tokens if len(token) > 1), key=lambda token: (-len(token), token))
        return re.compile("|".join(map(re.escape, spelled))) if spelled else None


@dataclass(frozen=True)
class Measure:
    """Where the tokens of one text begin."""

    starts: list[int]

    def count(self, start: int, end: int) -> int:
        """Return how many tokens begin in a span."""
        return bisect_left(self.starts, end) - bisect_left(self.starts, start)


def open_tokenizer(settings: Settings) -> Tokenizer:
    """Return the tokenizer of the base model that the settings name; no weights are loaded.

    Raises:
        SettingsError: The model's folder does not exist, or holds no model.
        LocalStackError: The default model cannot be built.
        DatasetError: There is no tokenizer there.
    """
    from tokenizers import Tokenizer as Backend

    source = base_model_path(settings, Path(sys.executable))
    file = Path(source) / "tokenizer.json"
    try:
        backend = Backend.from_file(str(file)) if file.is_file() else Backend.from_pretrained(source)
    except Exception as error:  # the library, written in Rust, raises nothing narrower
        raise DatasetError(
            f"there is no tokenizer of the base model at {source} ({error}): let LLMTWIN_BASE_MODEL name a folder with "
            "a tokenizer.json"
        ) from error
    backend.no_truncation()
    backend.no_padding()
    return Tokenizer(backend)
