"""Where a text likes to be cut: separators from the coarsest to the finest, and what should stay whole.

The separators are those of langchain-text-splitters; here they become positions in the text, so that a piece is exactly
what was written and its lines are known.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from llmtwin.features.markdown import Span, code_blocks, headings

# Sentence ends: western ones before a space, CJK ones anywhere.
_SENTENCE = r"(?<=[.!?…])[\"')\]»]*\s+|(?<=[。！？；])"
_CLAUSE = r"(?<=[,;:])\s+|(?<=[，、：])"
_WORD = r"\s+"
_PROSE = (r"\n\s*\n", r"\n", _SENTENCE, _CLAUSE, _WORD)
# Methods and coroutines, which langchain's Python separators leave out.
_PYTHON = (r"\nclass ", r"\n(?:async )?def ", r"\n[ \t]+(?:async )?def ")
# What belongs to the definition in the next line: decorators, attributes, comments.
_PREAMBLE = re.compile(r"[ \t]*(?:@|#|//|/\*|\*|--|;;)")


@dataclass(frozen=True)
class Layout:
    """How one text may be cut.

    Attributes:
        text: The text.
        separators: Patterns, coarsest first. A cut goes in front of what a match begins with, after its white space.
        blocks: Spans that stay whole where they fit, in order (fenced code).
        headings: Spans of headings, in order: they stay with what follows them.
        has_preambles: Whether comment and decorator lines belong to the definition below them.
    """

    text: str
    separators: tuple[re.Pattern[str], ...]
    blocks: list[Span] = field(default_factory=list)
    headings: list[Span] = field(default_factory=list)
    has_preambles: bool = False

    def cuts(self, level: int, start: int, end: int) -> Iterator[int]:
        """Yield the positions strictly between start and end where the separator of this level allows a cut."""
        last = start
        for match in self.separators[level].finditer(self.text, start, end):
            cut = self._after_white_space(match)
            if self.has_preambles:
                cut = self._before_preamble(cut, last)
            if last < cut < end:
                yield cut
                last = cut

    def splits_heading(self, cut: int) -> bool:
        """Whether a cut would part a heading from what follows it."""
        index = bisect_right(self.headings, (cut, 0)) - 1
        return index >= 0 and self.headings[index][0] < cut <= self.headings[index][1]

    def block_around(self, cut: int) -> Span | None:
        """Return the block that a cut would split."""
        index = bisect_right(self.blocks, (cut, 0)) - 1
        if index >= 0 and self.blocks[index][0] < cut < self.blocks[index][1]:
            return self.blocks[index]
        return None

    def begins_block(self, start: int) -> bool:
        """Whether a heading or a code block begins here, blank space aside."""
        return any(
            index >= 0 and spans[index][0] == start
            for spans in (self.headings, self.blocks)
            if (index := bisect_right(spans, (start, len(self.text))) - 1) >= 0
        )

    def _after_white_space(self, match: re.Match[str]) -> int:
        matched = match[0]
        words = matched.lstrip()
        if not words:
            return match.end()
        space = matched[: len(matched) - len(words)]
        # A definition keeps its own indentation.
        return match.start() + (space.rfind("\n") + 1 or len(space))

    def _before_preamble(self, cut: int, stop: int) -> int:
        while cut > stop and self.text[cut - 1] == "\n":
            line = self.text.rfind("\n", 0, cut - 1) + 1
            if line < stop or not _PREAMBLE.match(self.text, line, cut):
                break
            cut = line
        return cut


def prose(text: str) -> Layout:
    """Return the layout of plain text: paragraphs, lines, sentences, clauses, words."""
    return Layout(text, _compiled(_PROSE))


def markdown(text: str) -> Layout:
    """Return the layout of Markdown: sections by level of heading, then as prose; code blocks stay whole."""
    return Layout(text, _compiled(_markdown_separators()), code_blocks(text), headings(text))


def code(text: str, language: str) -> Layout:
    """Return the layout of a source file: definitions first where the language is known, else paragraphs and lines.

    Args:
        text: The file's text.
        language: Its lower-case name, spelled as langchain does where langchain knows it.
    """
    if language == "markdown":
        return markdown(text)
    return Layout(text, _compiled(_language_separators(language)), has_preambles=True)


@cache
def _compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern) for pattern in patterns)


@cache
def _markdown_separators() -> tuple[str, ...]:
    # langchain cuts at headings of all levels alike; here a chapter is cut before its sections are. What it calls a
    # separator after those are thematic breaks.
    any_heading, *others = _langchain("markdown")
    levels = [any_heading.replace("{1,6}", f"{{{level}}}") for level in range(1, 7)]
    breaks = [pattern for pattern in others if pattern.strip("\n ") and "`" not in pattern]
    return (*levels, *breaks, *_PROSE)


@cache
def _language_separators(language: str) -> tuple[str, ...]:
    if language == "python":
        return (*_PYTHON, *_PROSE)
    definitions = [pattern for pattern in _langchain(language) if pattern.strip("\n ")]
    return (*definitions, *_PROSE)


def _langchain(name: str) -> list[str]:
    """Return langchain's separators for a language; none where it has none."""
    from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

    try:
        return RecursiveCharacterTextSplitter.get_separators_for_language(Language(name))
    except ValueError:  # unknown to it, or known by name only
        return []
