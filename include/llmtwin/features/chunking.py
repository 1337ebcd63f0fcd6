"""Cut a text into pieces that fit a model's window: exact substrings, in order, nothing lost.

The text is tokenized once. It is cut recursively at its layout's separators until every piece fits, neighbours are then
joined as far as the window allows, and each piece is tokenized by itself as a proof, for a cut inside a word can change
the count.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import regex

from llmtwin.errors import SettingsError
from llmtwin.features.layout import Layout
from llmtwin.features.markdown import Span

if TYPE_CHECKING:
    from llmtwin.features.embedding.model import Model

# A WordPiece model reads a word of 10,000 characters as one unknown token, but nobody wants to read it in an answer.
_MAX_CHARACTERS_PER_TOKEN = 16
_SENTENCE_START = regex.compile(r"(?<=[.!?…][\"')\]»]*\s+|[。！？；]|\n)\S")
_WORD_START = regex.compile(r"(?<=\s)\S")
_GRAPHEME = regex.compile(r"\X")
# No grapheme that people write is longer.
_LONGEST_GRAPHEME = 64


class Chunker:
    """Cuts texts for one model.

    Args:
        model: Its tokenizer and window decide.
        prompt: What the embedder puts before each text; counts against the window.
        overlap: Tokens of the piece before that a piece may begin with, from the start of a sentence or else of a word.
            A piece that begins with a heading or a code block has none.

    Raises:
        SettingsError: The overlap takes more than half of the window.
    """

    def __init__(self, model: Model, prompt: str, overlap: int) -> None:
        self._model = model
        self._prompt = prompt
        self._overlap = overlap
        room = model.max_tokens - len(model.encode([""], prompt)[0].ids)
        if room < 1:
            raise SettingsError(f"the window of {model.name}, {model.max_tokens} tokens, has no room beside its prompt")
        if overlap > room // 2:
            raise SettingsError(
                f"an overlap of {overlap} tokens is more than half of what fits into the window of {model.name} "
                f"({room}): lower the LLMTWIN_CHUNK_OVERLAP_* setting"
            )
        self._room = room - overlap
        self._max_characters = room * _MAX_CHARACTERS_PER_TOKEN

    def spans(self, layout: Layout) -> list[Span]:
        """Return the pieces as (start, end), both ascending; a start may lie before the last end by the overlap.

        Every character that is not white space lies in a piece; no piece begins with a blank line or ends with white
        space.
        """
        text = layout.text
        encoding = self._model.tokenizer.encode(text, add_special_tokens=False)
        cutter = _Cutter(layout, [start for start, _ in encoding.offsets], self._room, self._max_characters)
        pieces = [_trimmed(text, span) for span in cutter.joined(cutter.split(0, len(text), 0))]
        bodies = self._proven(text, [span for span in pieces if span[0] < span[1]])
        if not self._overlap:
            return bodies
        return self._proven_overlaps(text, bodies, list(_overlapped(cutter, bodies, self._overlap)))

    def _proven(self, text: str, spans: list[Span]) -> list[Span]:
        """Halve what does not fit after all, until everything does."""
        proven: list[Span] = []
        counts = self._exact_counts(text, spans)
        for span, count in zip(spans, counts, strict=True):
            if count <= self._model.max_tokens - self._overlap or span[1] - span[0] == 1:
                proven.append(span)
            else:
                middle = _middle(text, *span)
                halves = [_trimmed(text, half) for half in ((span[0], middle), (middle, span[1]))]
                proven += self._proven(text, [half for half in halves if half[0] < half[1]])
        return proven

    def _proven_overlaps(self, text: str, bodies: list[Span], overlapped: list[Span]) -> list[Span]:
        """Give up an overlap that does not fit after all."""
        counts = self._exact_counts(text, overlapped)
        return [
            wide if count <= self._model.max_tokens else body
            for body, wide, count in zip(bodies, overlapped, counts, strict=True)
        ]

    def _exact_counts(self, text: str, spans: list[Span]) -> list[int]:
        encodings = self._model.encode([text[start:end] for start, end in spans], self._prompt)
        return [len(encoding.ids) for encoding in encodings]


class _Cutter:
    """Recursive cutting of one tokenized text, by offsets."""

    def __init__(self, layout: Layout, token_starts: list[int], room: int, max_characters: int) -> None:
        self.layout = layout
        self._token_starts = token_starts
        self._room = room
        self._max_characters = max_characters

    def count(self, start: int, end: int) -> int:
        """Return how many tokens begin in a span."""
        return bisect_left(self._token_starts, end) - bisect_left(self._token_starts, start)

    def fits(self, start: int, end: int) -> bool:
        return end - start <= self._max_characters and self.count(start, end) <= self._room

    def split(self, start: int, end: int, level: int) -> Iterator[Span]:
        """Yield spans that fit and cover start to end, cut at the coarsest separators that will do."""
        if self.fits(start, end):
            yield start, end
        elif level == len(self.layout.separators):
            yield from self._split_anywhere(start, end)
        else:
            cuts = [cut for cut in self.layout.cuts(level, start, end) if self._allowed(cut)]
            bounds = [start, *cuts, end]
            for from_, to in self.joined(pairwise(bounds)):
                yield from self.split(from_, to, level + 1)

    def joined(self, spans: Iterable[Span]) -> Iterator[Span]:
        """Join neighbours as long as they fit together."""
        pending: Span | None = None
        for span in spans:
            if pending and self.fits(pending[0], span[1]):
                pending = (pending[0], span[1])
            else:
                if pending:
                    yield pending
                pending = span
        if pending:
            yield pending

    def _allowed(self, cut: int) -> bool:
        block = self.layout.block_around(cut)
        return not self.layout.splits_heading(cut) and (block is None or not self.fits(*block))

    def _split_anywhere(self, start: int, end: int) -> Iterator[Span]:
        while not self.fits(start, end):
            index = bisect_left(self._token_starts, start) + self._room
            limit = self._token_starts[index] if index < len(self._token_starts) else end
            cut = _grapheme_start(self.layout.text, start, min(limit, start + self._max_characters))
            yield start, cut
            start = cut
        yield start, end


def _overlapped(cutter: _Cutter, bodies: list[Span], overlap: int) -> Iterator[Span]:
    """Move each start back by at most `overlap` tokens, to where a sentence or at least a word begins."""
    layout = cutter.layout
    for index, (start, end) in enumerate(bodies):
        if index == 0 or layout.begins_block(start):
            yield start, end
            continue
        previous = bodies[index - 1]
        earliest = previous[0] + 1
        for pattern in (_SENTENCE_START, _WORD_START):
            begin = next(
                (
                    match.start()
                    for match in pattern.finditer(layout.text, earliest, start)
                    if cutter.count(match.start(), start) <= overlap and not layout.block_around(match.start())
                ),
                start,
            )
            if begin < start:
                break
        yield begin, end


def _trimmed(text: str, span: Span) -> Span:
    """Drop blank lines in front and white space behind; the indentation of the first line stays."""
    start, end = span
    piece = text[start:end]
    body = piece.lstrip()
    space = piece[: len(piece) - len(body)]
    return start + space.rfind("\n") + 1, start + len(piece.rstrip())


def _middle(text: str, start: int, end: int) -> int:
    """Return the best cut near the middle: between lines, else words, else graphemes."""
    middle = (start + end) // 2
    for separator in ("\n", " "):
        after = text.rfind(separator, start + (end - start) // 4, middle) + 1
        if after > 0:
            return after
    return _grapheme_start(text, start, middle)


def _grapheme_start(text: str, start: int, cut: int) -> int:
    """Return the last position after start and not behind cut that parts no grapheme; cut itself if there is none."""
    begin = max(start, cut - _LONGEST_GRAPHEME)
    starts = [match.start() for match in _GRAPHEME.finditer(text, begin, cut + 1)]
    usable = [position for position in starts if start < position <= cut]
    return usable[-1] if usable else max(cut, start + 1)
