"""Delta: how far a text's style is from the author's, by the words nobody chooses on purpose.

    z_i(T) = (f_i(T) - mu_i) / sigma_i                    f_i: relative frequency of function word i in text T
    Delta(T, A) = (1/n) · sum over the n words of |z_i(T) - z_i(A)|                                    (Burrows)
    Cosine Delta(T, A) = 1 - cos(z(T), z(A))                                                           (Smith, Aldridge)

mu and sigma come from samples of all reference authors, as many of each.

- J. Burrows, 'Delta': a Measure of Stylistic Difference, LLC 17(3), 2002
- S. Argamon, Interpreting Burrows's Delta, LLC 23(2), 2008
- P. Smith and W. Aldridge, Improving Authorship Attribution, Journal of Quantitative Linguistics 18(1), 2011
- S. Evert and others, Understanding and explaining Delta measures for authorship attribution, DSH 32, 2017
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal

from llmtwin.evaluation.words import function_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

# Burrows took the 150 most frequent words. Of function words alone there are fewer that are frequent.
MOST_WORDS = 150
# Words in a reference sample: enough for a frequency of 1 in 100 to show, few enough to have several of each author.
SAMPLE_WORDS = 500
FEWEST_SAMPLES = 2
# What share of English prose function words make up: 40 to 55 %. Much less, and the text is in another language.
_ENGLISH = 0.25


@dataclass(frozen=True)
class Counts:
    """A text as word counts, so that texts add up without being read again."""

    words: Counter[str]
    total: int

    @classmethod
    def of(cls, words: Sequence[str]) -> Counts:
        """Count words."""
        return cls(Counter(words), len(words))

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.words + other.words, self.total + other.total)


class Stylometer:
    """Measures texts against one author's profile.

    Args:
        author: The words of the author's training text, in the order of the documents.
        others: The same of other authors, by name; each long enough for `FEWEST_SAMPLES` samples, at least one author.
        sample_words: The length of a reference sample.

    Raises:
        ValueError: There is too little text for a profile; says of whom.
    """

    def __init__(
        self, author: Sequence[str], others: Mapping[str, Sequence[str]], sample_words: int = SAMPLE_WORDS
    ) -> None:
        import numpy as np

        own = samples(author, sample_words)
        rest = {name: samples(words, sample_words) for name, words in others.items()}
        short = [name for name, found in {"the author": own, **rest}.items() if len(found) < FEWEST_SAMPLES]
        if short or not rest:
            needed = FEWEST_SAMPLES * sample_words
            raise ValueError(f"fewer than {needed} words of prose by {', '.join(short) or 'any other author'}")
        share = min(len(found) for found in (own, *rest.values()))
        balanced = [Counts.of(one) for found in (own, *rest.values()) for one in _spread(found, share)]
        self.features, self.kind = _features(author, list(others.values()))
        frequencies = np.array([self._frequencies(one) for one in balanced])
        varied = frequencies.std(0, ddof=1) > 0
        self.features = tuple(word for word, kept in zip(self.features, varied, strict=True) if kept)
        self._mean = frequencies[:, varied].mean(0)
        self._deviation = frequencies[:, varied].std(0, ddof=1)
        self._profile = self.z_scores(Counts.of(author))
        self.samples = {name: [Counts.of(one) for one in found] for name, found in rest.items()}
        self.sample_words = sample_words

    def z_scores(self, text: Counts) -> Vector:
        """Return how many standard deviations each word's frequency is from the reference authors' mean."""
        scores: Vector = (self._frequencies(text) - self._mean) / self._deviation
        return scores

    def delta(self, text: Counts) -> float:
        """Return Burrows's Delta between a text and the author."""
        import numpy as np

        return float(np.abs(self.z_scores(text) - self._profile).mean())

    def cosine_delta(self, text: Counts) -> float:
        """Return Cosine Delta between a text and the author: 0 the same direction, 1 none, 2 the opposite."""
        import numpy as np

        scores = self.z_scores(text)
        lengths = float(np.linalg.norm(scores) * np.linalg.norm(self._profile))
        return 1.0 - float(scores @ self._profile) / lengths if lengths else 1.0

    def _frequencies(self, text: Counts) -> Vector:
        import numpy as np

        return np.array([text.words[word] for word in self.features], dtype=float) / max(text.total, 1)


def samples(words: Sequence[str], size: int) -> list[list[str]]:
    """Return pieces of exactly ``size`` words; what is left over at the end is dropped."""
    return [list(words[start : start + size]) for start in range(0, len(words) - size + 1, size)]


def _features(
    author: Sequence[str], others: Sequence[Sequence[str]]
) -> tuple[tuple[str, ...], Literal["function", "frequent"]]:
    """Return the most frequent function words; of a language that is not English, the most frequent words all use."""
    texts = [Counter(author), *map(Counter, others)]
    # Every author weighs the same, however much there is of each.
    weight: dict[str, float] = {}
    for text in texts:
        for word, count in text.items():
            weight[word] = weight.get(word, 0.0) + count / text.total()
    ranked = sorted(weight, key=lambda word: (-weight[word], word))
    closed = function_words()
    if sum(count for word, count in weight.items() if word in closed) / len(texts) >= _ENGLISH:
        return tuple(word for word in ranked if word in closed)[:MOST_WORDS], "function"
    shared = set.intersection(*(set(text) for text in texts))
    return tuple(word for word in ranked if word in shared)[:MOST_WORDS], "frequent"


def _spread(found: Sequence[list[str]], count: int) -> list[list[str]]:
    """Return ``count`` of the samples, evenly over all."""
    return [found[index * len(found) // count] for index in range(count)]


def all_words(texts: Sequence[Sequence[str]]) -> list[str]:
    """Return the words of all texts, one after the other."""
    return list(chain.from_iterable(texts))
