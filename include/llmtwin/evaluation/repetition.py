"""How a text repeats itself. Each number is of one answer; longer answers repeat more, so compare at like length."""

from __future__ import annotations

from collections.abc import Sequence

# As in Welleck and others, Neural Text Generation with Unlikelihood Training, ICLR 2020: seq-rep-4.
NGRAM = 4


def distinct(words: Sequence[str], n: int = 2) -> float | None:
    """Return the share of distinct n-grams among all: 1 nothing twice (distinct-n: Li and others, NAACL 2016).

    None where there are fewer than n words.
    """
    grams = _ngrams(words, n)
    return len(set(grams)) / len(grams) if grams else None


def repetition(words: Sequence[str]) -> float | None:
    """Return the share of 4-grams that stood there before: 0 none, near 1 a loop. None below four words."""
    unique = distinct(words, NGRAM)
    return None if unique is None else 1.0 - unique


def longest_repeat(words: Sequence[str]) -> int:
    """Return the length in words of the longest run that stands in the text twice; the two may not overlap."""
    low, high = 0, len(words) // 2
    while low < high:
        middle = (low + high + 1) // 2
        if _repeats(words, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _repeats(words: Sequence[str], size: int) -> bool:
    first: dict[tuple[str, ...], int] = {}
    return any(start - first.setdefault(gram, start) >= size for start, gram in enumerate(_ngrams(words, size)))


def _ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
