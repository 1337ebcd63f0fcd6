"""Cut documents into extracts: pieces that stand for themselves, exactly as written.

A cut falls between sections, else between paragraphs, else between items of a list, else between sentences; never
inside a sentence or a block of code. What cannot be cut so and is too long is left out. The heading above an extract is
not part of it: it becomes what the extract answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile, pairwise

import regex

from llmtwin.datasets.language import language_of
from llmtwin.datasets.sentences import sentences
from llmtwin.datasets.tokens import Measure, Tokenizer
from llmtwin.documents import CleanedDocument
from llmtwin.features.markdown import Span, code_blocks, headings

# Tokens are counted by where they begin in the whole text; cut out, a text may have one more at each end.
_MARGIN = 4
_MARKS = regex.compile(r"^[ #]+|[*_`]+|\s#+\s*$|\\(?=[^\w\s])")
_BLANK_LINE = regex.compile(r"\n[ \t]*\n\s*")
# CommonMark 0.31, section 5.2: in the middle of a paragraph, a number begins a list only if it is 1.
_ITEM = regex.compile(r"^[ \t]*(?:[-*+•]|(\d{1,9})[.)])[ \t]+(?=\S)", regex.MULTILINE)


@dataclass(frozen=True)
class Extract:
    """A piece of a document that can be an answer."""

    document: CleanedDocument
    position: int
    """In the document, from 0."""
    headings: tuple[str, ...]
    """Those above it, the document's highest first, without marks of Markdown."""
    part: int
    """In its section, from 0."""
    text: str
    tokens: int

    @property
    def id(self) -> str:
        """What names it in errors and draws its lot."""
        return f"{self.document.document_id}:{self.position}"


@dataclass
class Cut:
    """The extracts of one document, and what was left out."""

    extracts: list[Extract]
    left_out: Counter[str]


@dataclass(frozen=True)
class _Block:
    start: int
    end: int
    is_code: bool = False


@dataclass
class _Section:
    headings: tuple[str, ...]
    blocks: list[_Block]


def cut(
    document: CleanedDocument,
    tokenizer: Tokenizer,
    most_tokens: int,
    is_unwanted: Callable[[str], bool] = lambda paragraph: False,
) -> Cut:
    """Return the extracts of a document, in order.

    Args:
        document: Prose in Markdown, or plain.
        tokenizer: The base model's.
        most_tokens: No extract has more.
        is_unwanted: Whether a paragraph is to be left out; no extract reaches across one.
    """
    text = document.content
    cutter = _Cutter(text, tokenizer.measure(text), most_tokens)
    result = Cut([], Counter())
    for section in _sections(text):
        part = 0
        for run in _runs(text, section.blocks, is_unwanted, result.left_out):
            for start, end in cutter.pieces(run, result.left_out):
                piece = text[start:end]
                if (tokens := tokenizer.count(piece)) > most_tokens:
                    result.left_out["too long"] += 1
                    continue
                position = len(result.extracts)
                result.extracts.append(Extract(document, position, section.headings, part, piece, tokens))
                part += 1
    return result


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs, headings and blocks of code of a text, in order."""
    for section in _sections(text):
        yield from (text[block.start : block.end] for block in section.blocks)


def without_marks(heading: str) -> str:
    """Return a line of Markdown as plain text."""
    return " ".join(_MARKS.sub("", heading).split())


class _Cutter:
    """Packs the blocks of one text into pieces that are not too long."""

    def __init__(self, text: str, measure: Measure, most_tokens: int) -> None:
        self._text = text
        self._measure = measure
        self._room = max(1, most_tokens - _MARGIN)

    def pieces(self, blocks: Sequence[_Block], left_out: Counter[str]) -> Iterator[Span]:
        """Yield spans of neighbouring blocks, about equally long."""
        for group in self._units(blocks, left_out):
            total = self._count(group[0].start, group[-1].end)
            target = total / max(1, math.ceil(total / self._room))
            start, end = group[0].start, group[0].end
            for unit in group[1:]:
                if self._count(start, unit.end) <= self._room and self._count(start, end) < target * 0.9:
                    end = unit.end
                else:
                    yield start, end
                    start, end = unit.start, unit.end
            yield start, end

    def _units(self, blocks: Sequence[_Block], left_out: Counter[str]) -> Iterator[list[_Block]]:
        """Yield runs of what must not be cut, each of which fits; what does not is left out and ends a run."""
        run: list[_Block] = []
        for block in self._glued(blocks):
            for unit in [block] if self._fits(block) else self._loosened(block):
                if self._fits(unit):
                    run.append(unit)
                    continue
                left_out["code too long" if unit.is_code else "sentence too long"] += 1
                if run:
                    yield run
                run = []
        if run:
            yield run

    def _glued(self, blocks: Iterable[_Block]) -> Iterator[_Block]:
        """Join code to the paragraph above it, and what a colon announces to its announcement, where that fits."""
        pending: _Block | None = None
        for block in blocks:
            if pending:
                belongs = block.is_code or self._text[: pending.end].endswith(":")
                joined = _Block(pending.start, block.end)
                if belongs and not pending.is_code and self._fits(joined):
                    pending = joined
                    continue
                yield pending
            pending = block
        if pending:
            yield pending

    def _loosened(self, block: _Block) -> Iterator[_Block]:
        if block.is_code:
            yield block
            return
        for item in self._glued(_items(self._text, block)):
            if self._fits(item):
                yield item
                continue
            text = self._text[item.start : item.end]
            for start, end in sentences(text, language_of(text)):
                yield _Block(item.start + start, item.start + end)

    def _fits(self, block: _Block) -> bool:
        return self._count(block.start, block.end) <= self._room

    def _count(self, start: int, end: int) -> int:
        return self._measure.count(start, end)


def _sections(text: str) -> Iterator[_Section]:
    """Yield the text between headings, each part with the headings that stand above it."""
    code = code_blocks(text)
    above: list[tuple[int, str]] = []
    start = 0
    for heading_start, heading_end in [*headings(text), (len(text), len(text))]:
        if blocks := _blocks(text, code, start, heading_start):
            yield _Section(tuple(name for _, name in above if name), blocks)
        line = text[heading_start:heading_end].strip()
        level = len(line) - len(line.lstrip("#"))
        above = [*(one for one in above if one[0] < level), (level, without_marks(line))]
        start = heading_end


def _blocks(text: str, code: Sequence[Span], start: int, end: int) -> list[_Block]:
    blocks: list[_Block] = []
    position = start
    for code_start, code_end in [*((s, e) for s, e in code if start <= s < end), (end, end)]:
        blocks += _paragraphs(text, position, code_start)
        if text[code_start:code_end].strip():
            indentation = len(text[code_start:code_end]) - len(text[code_start:code_end].lstrip("\n"))
            body_end = code_start + len(text[code_start:code_end].rstrip())
            blocks.append(_Block(code_start + indentation, body_end, is_code=True))
        position = code_end
    return blocks


def _paragraphs(text: str, start: int, end: int) -> Iterator[_Block]:
    yield from _between(text, [start, *(match.end() for match in _BLANK_LINE.finditer(text, start, end)), end])


def _items(text: str, block: _Block) -> Iterator[_Block]:
    """Yield what stands before a list, and its items; the whole block where it holds none."""
    found = _ITEM.finditer(text, block.start, block.end)
    items = dropwhile(lambda match: match[1] not in (None, "1") and match.start() > block.start, found)
    yield from _between(text, [block.start, *(match.start() for match in items), block.end])


def _between(text: str, bounds: Iterable[int]) -> Iterator[_Block]:
    """Yield the blocks between places of a text, without the white space around them."""
    for from_, to in pairwise(bounds):
        piece = text[from_:to]
        if piece.strip():
            yield _Block(from_ + len(piece) - len(piece.lstrip()), from_ + len(piece.rstrip()))


def _runs(
    text: str, blocks: Sequence[_Block], is_unwanted: Callable[[str], bool], left_out: Counter[str]
) -> Iterator[list[_Block]]:
    """Yield neighbours between which nothing is left out."""
    run: list[_Block] = []
    for block in blocks:
        if not is_unwanted(text[block.start : block.end]):
            run.append(block)
            continue
        left_out["repeated"] += 1
        if run:
            yield run
        run = []
    if run:
        yield run
