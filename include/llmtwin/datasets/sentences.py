"""Where sentences end, in any language.

sentencex, by Wikimedia, knows the marks and abbreviations of some 300 languages. Some of what it takes for an end is
none ("Mme. | Durand", "Eq. | 2"), and of Markdown it knows nothing. So its ends are looked at once more, and in doubt
there is none: half a sentence would be learned as a whole one, while two that count as one are only cut elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import regex
import sentencex

from llmtwin.features.markdown import Span, verbatim_spans

# Marks that close emphasis, a quotation or a parenthesis belong to the sentence before them.
_CLOSERS = r"""[*_~"'”’»›」』）)\]]"""
_CLOSING = regex.compile(rf"{_CLOSERS}+(?=\s|$)")
# Unicode's sentence terminals, and what else ends one; behind it, the number of a note.
_TERMINATED = regex.compile(rf"[\p{{Sentence_Terminal}}…；]{_CLOSERS}*(?:\s?\[\d+\])*$")
# Of scripts that leave no space between sentences.
_FULL_WIDTH = regex.compile(rf"[。！？；｡…]{_CLOSERS}*$")
_FIRST = regex.compile(r"[\s*_~]*(\S)")
_LETTER = regex.compile(r"\p{L}")
_TO_LAST_LETTER = regex.compile(r".*\p{L}", regex.DOTALL)
# A full stop behind an initial, a letter or two with others before them (U.S., Ph.D., z.B.), an ordinal (5. Mai) or
# number of an item, or one of these, which the library lacks or knows in one language only.
_ABBREVIATION = regex.compile(
    r"""(?<![\p{L}\p{M}\p{N}])(?:
    (?<!['’])\p{L} | (?:\p{L}{1,2}\.)+\p{L}{2} | (?<![,-])\d{1,2} |
    Dr | Dra | Dña | Mr | Mrs | Ms | Mme | Mlle | Mgr | Prof | Sr | Sra | Sig | Dl | Dna | Mevr | St | Ste | Av | str |
    Fa | Cie | Dipl | dr | mgr | inż | im | św | им | рис | approx | inkl | resp | tzw | vgl
    )\.[*_~]*$""",
    regex.VERBOSE,
)
# Jan. 5, p. 12, Tab. 3
_BEFORE_NUMBER = regex.compile(r"(?<![\p{L}\p{M}])\p{L}{1,4}\.[*_~]*$")
_LONGEST_ABBREVIATION = 16


def sentences(text: str, language: str) -> Iterator[Span]:
    """Yield the spans of a paragraph's sentences, in order; only white space lies between them.

    What holds no letter, the number of an item, say, is a part of the sentence behind it, or else of the one before it.

    Args:
        text: Markdown or plain.
        language: Its ISO 639-1 code; another one costs abbreviations.
    """
    start = 0
    for end in [*_ends(text, language), len(text)]:
        piece = text[start:end]
        if end < len(text) and not _LETTER.search(piece):
            continue
        if piece.strip():
            yield start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        start = end


def _ends(text: str, language: str) -> Iterator[int]:
    verbatim = verbatim_spans(text)
    # The library panics at some white space of more bytes than one (1.0.32: a letter, U+00A0, a full stop), and ends a
    # sentence at a line feed.
    plain = "".join(" " if character.isspace() else character for character in text)
    letters = _TO_LAST_LETTER.match(plain)
    for boundary in sentencex.get_sentence_boundaries(language, plain):
        end = boundary["start_index"] + len(boundary["text"].rstrip())
        if closing := _CLOSING.match(plain, end):
            end = closing.end()
        if letters is None or end >= letters.end():
            return
        if not any(start < end < stop for start, stop in verbatim) and _is_end(plain, end):
            yield end


def _is_end(text: str, end: int) -> bool:
    before = text[max(0, end - _LONGEST_ABBREVIATION) : end]
    if not _TERMINATED.search(before) or not (text[end].isspace() or _FULL_WIDTH.search(before)):
        return False
    following = _FIRST.match(text, end)
    if following is None or following[1].islower() or _ABBREVIATION.search(before):
        return False
    return not (following[1].isdigit() and _BEFORE_NUMBER.search(before))
