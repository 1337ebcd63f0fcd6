"""Where a Markdown text holds code, links and headings, as character spans.

The block rules are those of CommonMark 0.31 (https://spec.commonmark.org/0.31.2/), read conservatively: what might be
code counts as code, because code is left alone and prose only loses a little polish.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]

_FENCE = re.compile(r"[ \t]*(?:>[ \t]?|[-*+][ \t]+|\d{1,9}[.)][ \t]+)*[ \t]*(`{3,}(?=[^`\n]*$)|~{3,})")
_INDENTED = re.compile(r"(?: {4}| {0,3}\t)[ \t]*\S")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+\S", re.MULTILINE)
_RULE = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_BACKTICKS = re.compile(r"(?<!`)(`+)(?!`)")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
# Parentheses only in pairs, and no punctuation at the end: that belongs to the sentence around the link.
URL = re.compile(
    r"\b(?:https?|ftp)://(?:\([^\s()<>]*\)|[^\s()<>\[\]\"`“”‘’。，、！？（）「」])+(?<![.,;:!?'*_…])", re.IGNORECASE
)


def code_blocks(text: str) -> list[Span]:
    """Return the spans of fenced and indented code blocks, whole lines, in order, without overlap.

    A fence that is never closed runs to the end of the text, as CommonMark says.
    """
    spans: list[Span] = []
    fence = ""
    fence_start = 0
    indented: Span | None = None
    interruptible = True  # a paragraph cannot be interrupted by indented code
    for start, end, line in _lines(text):
        if fence:
            if _closes(line, fence):
                spans.append((fence_start, end))
                fence, interruptible = "", True
            continue
        if (interruptible or indented) and _INDENTED.match(line):
            indented = (indented[0] if indented else start, end)
            continue
        if not line.strip():
            interruptible = True
            continue
        if indented:
            spans.append(indented)
            indented = None
        if opening := _FENCE.match(line):
            fence, fence_start = opening[1], start
            continue
        interruptible = bool(_HEADING.match(line) or _RULE.match(line))
    if fence:
        spans.append((fence_start, len(text)))
    if indented:
        spans.append(indented)
    return spans


def verbatim_spans(text: str) -> list[Span]:
    """Return the spans whose characters carry meaning and must not be touched: code blocks, inline code and URLs."""
    spans = code_blocks(text)
    for start, end in list(_between(spans, len(text))):
        inline = list(_inline_code(text, start, end))
        spans += inline
        for gap_start, gap_end in _between(inline, end, start):
            spans += [match.span() for match in URL.finditer(text, gap_start, gap_end)]
    return sorted(spans)


def headings(text: str) -> list[Span]:
    """Return the spans of the heading lines outside code, each with the blank lines that follow it."""
    spans = []
    for start, end in _between(code_blocks(text), len(text)):
        for match in _HEADING.finditer(text, start, end):
            stop = text.find("\n", match.start())
            stop = len(text) if stop < 0 else stop
            while stop < len(text) and text[stop] in " \t\n":
                stop += 1
            spans.append((match.start(), stop))
    return spans


def _lines(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end with the line feed, line without it)."""
    start = 0
    while start < len(text):
        stop = text.find("\n", start)
        end = len(text) if stop < 0 else stop + 1
        yield start, end, text[start : end if stop < 0 else stop]
        start = end


def _closes(line: str, fence: str) -> bool:
    mark = line.strip().lstrip("> \t")
    return len(mark) >= len(fence) and not mark.strip(fence[0])


def _inline_code(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield backtick spans: a run of backticks up to the next run of the same length in the same paragraph."""
    for from_, to in _paragraphs(text, start, end):
        runs = list(_BACKTICKS.finditer(text, from_, to))
        # The last run of each length, so that an opening run without a partner is given up at once.
        last = {len(run[1]): index for index, run in enumerate(runs)}
        index = 0
        while index < len(runs):
            length = len(runs[index][1])
            if last[length] == index:
                index += 1
                continue
            closing = next(k for k in range(index + 1, len(runs)) if len(runs[k][1]) == length)
            yield runs[index].start(), runs[closing].end()
            index = closing + 1


def _paragraphs(text: str, start: int, end: int) -> Iterator[Span]:
    for blank in _BLANK_LINE.finditer(text, start, end):
        yield start, blank.start()
        start = blank.start() + 1
    yield start, end


def _between(spans: list[Span], end: int, start: int = 0) -> Iterator[Span]:
    """Yield what lies between the spans."""
    for from_, to in spans:
        if start < from_:
            yield start, from_
        start = to
    if start < end:
        yield start, end
