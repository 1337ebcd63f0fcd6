"""Sparse vectors for lexical search: the document's half of BM25.

Qdrant multiplies each matching term by its inverse document frequency (`Modifier.IDF`), so the document carries term
saturation and the query carries ones; their dot product is BM25 (Robertson and Zaragoza, The Probabilistic Relevance
Framework: BM25 and Beyond, 2009, equation 3.15):

    score(q, d) = sum over t in q of  idf(t) · tf · (k1 + 1) / (tf + k1 · (1 - b + b · |d| / avglen))

Terms become indices by hashing, so no vocabulary is kept anywhere.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator

import mmh3
import regex

# The usual choice: 1.2 < k1 < 2 and 0.5 < b < 0.8 are "reasonably good in many circumstances" (ibid., section 3.5).
K1 = 1.2
B = 0.75
# Terms in a chunk on average. A constant, so that a vector does not depend on what else is stored; chunks are cut to
# one window, so the true mean hardly moves. Measured on the chunks of 76 articles with the default model.
AVERAGE_LENGTH = 120.0

# Letters with their marks (Devanagari and Arabic vowels, decomposed accents) and digits; joined by _ ' or a joiner.
_WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}]*(?:[_'’\u200c\u200d]+[\p{L}\p{N}\p{M}]+)*|_+[\p{L}\p{N}_]+")
# Scripts written without spaces between words: pairs of neighbouring characters stand in for words.
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー々〆]+")
_CAMEL = regex.compile(r"\p{Ll}\p{Lu}|\p{Lu}{2}\p{Ll}")
# parseHTTPResponse2 → parse, HTTP, Response, 2
_HUMP = regex.compile(r"\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+|\p{N}+|[\p{Lo}\p{Lm}\p{Lt}\p{M}]+")


def encode_document(text: str) -> tuple[list[int], list[float]]:
    """Return a document's sparse vector: indices (uint32, ascending, distinct) and saturated term frequencies."""
    counts = Counter(terms(text))
    norm = K1 * (1 - B + B * counts.total() / AVERAGE_LENGTH)
    return _hashed({term: tf * (K1 + 1) / (tf + norm) for term, tf in counts.items()})


def encode_query(text: str) -> tuple[list[int], list[float]]:
    """Return a query's sparse vector: each distinct term weighs one."""
    return _hashed(dict.fromkeys(terms(text), 1.0))


def terms(text: str) -> Iterator[str]:
    """Yield the terms of a text, in order, as they are matched: compatibility forms and letter case folded.

    A word counts as a whole. An identifier counts as a whole and by its parts (`max_len`, `maxLen`: max, len). Text in
    scripts without spaces counts by pairs of characters, a single character by itself.
    """
    for word in _WORD.findall(unicodedata.normalize("NFKC", text)):
        position = 0
        for run in _UNSPACED.finditer(word):
            yield from _spaced(word[position : run.start()])
            yield from _pairs(run[0])
            position = run.end()
        yield from _spaced(word[position:])


def _spaced(word: str) -> Iterator[str]:
    whole = _folded(word).strip("_'\u200c\u200d")
    if not whole:
        return
    yield whole
    if "_" in word or _CAMEL.search(word):
        parts = [_folded(part) for part in _HUMP.findall(word)]
        if len(parts) > 1:
            yield from parts


def _pairs(run: str) -> Iterator[str]:
    yield from [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def _folded(text: str) -> str:
    # Case folding can undo composition (ΐ), so compose again.
    return unicodedata.normalize("NFKC", text.replace("’", "'").casefold())


def _hashed(weights: dict[str, float]) -> tuple[list[int], list[float]]:
    vector: dict[int, float] = {}
    for term, weight in weights.items():
        index = mmh3.hash(term, signed=False)
        vector[index] = vector.get(index, 0.0) + weight  # two terms on one index: their weights add up
    indices = sorted(vector)
    return indices, [vector[index] for index in indices]
