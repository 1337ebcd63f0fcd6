"""What the measures of style count: the words of prose, without markup and without code."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import regex

from llmtwin.features.markdown import URL, code_blocks

# Letters with their marks, joined by apostrophes: don't, l'auteur. Digits are no words: they say what about, not how.
_WORD = regex.compile(r"\p{L}\p{M}*(?:\p{L}|\p{M}|['’](?=\p{L}))*")
_INLINE_CODE = regex.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", regex.DOTALL)
_IMAGE = regex.compile(r"!\[[^\]\n]*\]\([^)\s]*(?:\s[^)]*)?\)")
_LINK = regex.compile(r"\[([^\]\n]*)\]\([^)\s]*(?:\s[^)]*)?\)")
_CITATION = regex.compile(r"\[\d{1,3}\]")
_MARKUP = regex.compile(
    r"^[ \t]*(?:#{1,6}|>+|[-*+]|\d{1,3}[.)])[ \t]+|[*_~]{1,3}(?=\S)|(?<=\S)[*_~]{1,3}|\|", regex.MULTILINE
)


def prose(markdown: str) -> str:
    """Return a text without code, links' targets, images, numbers of passages and Markdown's marks; line ends stay."""
    text, position = [], 0
    for start, end in code_blocks(markdown):
        text.append(markdown[position:start])
        position = end
    plain = "".join([*text, markdown[position:]])
    plain = _LINK.sub(r"\1", _IMAGE.sub(" ", _INLINE_CODE.sub(" ", plain)))
    return _MARKUP.sub("", _CITATION.sub("", URL.sub(" ", plain))).strip()


def words(text: str) -> list[str]:
    """Return the words in order, letter case folded and apostrophes made one."""
    return [word.replace("’", "'").casefold() for word in _WORD.findall(text)]


@cache
def function_words() -> frozenset[str]:
    """Return the closed-class words of English: articles, pronouns, prepositions, conjunctions, auxiliaries, particles.

    Closed classes only, for a list of "stop words" also holds words of content, and contradicts itself between releases
    (Nothman, Qin and Yurchak, Stop Word Lists in Free Open-source Software Packages, 2018).
    """
    lines = (files("llmtwin.evaluation") / "function_words.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def first_words(text: str, count: int) -> str:
    """Return the beginning of a text that holds so many words; all of it where there are fewer."""
    for number, match in enumerate(_WORD.finditer(text), 1):
        if number == count:
            return text[: match.end()]
    return text
