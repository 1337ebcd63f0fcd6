"""Does a text repeat what must stay unseen?

Two texts share a run when a stretch of one consists of 8-grams that all occur in the other. Overlap of n-grams is how
training data is commonly searched for test data (Brown et al., Language Models are Few-Shot Learners, 2020, appendix C;
Chowdhery et al., PaLM, 2022, section 8). A run need not be one stretch of the other text, so this finds a little more
than what was copied, never less. Letter case, punctuation and layout do not hide a copy.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable

import regex

from llmtwin.datasets.tokens import Tokenizer

NGRAM = 8
LONGEST_RUN = 50

Ngram = tuple[int, ...]
_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")


class Unseen:
    """Texts that nothing may repeat.

    Args:
        texts: The texts.
        tokenizer: Whose tokens are counted.
    """

    def __init__(self, texts: Iterable[str], tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ngrams = {ngram for text in texts for ngram in ngrams(text, tokenizer)}

    def longest_run(self, text: str) -> int:
        """Return the tokens of the longest run that a text shares with these texts; 0 below `NGRAM`."""
        return run_among(ngrams(text, self._tokenizer), self._ngrams)

    def is_repeated_in(self, text: str) -> bool:
        """Tell whether a text shares a run of `LONGEST_RUN` tokens or more."""
        return self.longest_run(text) >= LONGEST_RUN


def ngrams(text: str, tokenizer: Tokenizer) -> list[Ngram]:
    """Return the runs of `NGRAM` tokens of a text, in order; letter case, punctuation and white space do not count."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    tokens = tokenizer.ids(" ".join(_WORD.findall(folded)))
    return [tuple(tokens[at : at + NGRAM]) for at in range(len(tokens) - NGRAM + 1)]


def run_among(found: Iterable[Ngram], known: Collection[Ngram]) -> int:
    """Return the tokens of the longest run of neighbouring n-grams that are all known; 0 where none is."""
    longest = run = 0
    for ngram in found:
        run = run + 1 if ngram in known else 0
        longest = max(longest, run)
    return longest + NGRAM - 1 if longest else 0
