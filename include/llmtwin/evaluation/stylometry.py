"""Delta: how far a text's style is from the author's, by the words nobody chooses on purpose.

    z_i(T) = (f_i(T) - mu_i) / sigma_i                    f_i: relative frequency of function word i in text T
    Delta(T, A) = (1/n) · sum over the n words of |z_i(T) - z_i(A)|                                    (Burrows)
    Cosine Delta(T, A) = 1 - cos(z(T), z(A))                                                           (Smith, Aldridge)

mu and sigma come from samples of all reference authors, as many of each. Where the author is the only one, they come
from samples of the author alone. mu is the author then, z(A) is zero and has no direction, so Cosine Delta means
nothing; but Burrows's Delta does: how far a text is from the author, in units of the author's own variation.

- J. Burrows, 'Delta': a Measure of Stylistic Difference, LLC 17(3), 2002
- S. Argamon, Interpreting Burrows's Delta, LLC 23(2), 2008
- M. Eder, J. Rybicki and M. Kestemont, Stylometry with R, The R Journal 8(1), 2016 (culling)
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

DeltaVariant = Literal["cosine", "burrows"]

# Burrows took the 150 most frequent words. Of function words alone there are fewer that are frequent.
MOST_WORDS = 150
# Words in a reference sample: enough for a frequency of 1 in 100 to show, few enough to have several of each author.
SAMPLE_WORDS = 500
FEWEST_SAMPLES = 2
# The same of an author who is the only one: shorter samples, for a spread wants more of them than a mean of several
# authors does (measured in docs/adr/0022).
OWN_SAMPLE_WORDS = 200
FEWEST_OWN_SAMPLES = 10
# Then only words count that stand in more than this share of the samples: the spread of a rare word is that of chance,
# and a text that uses it twice would seem to be far away.
_CULLING = 0.5
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
        others: The same of other authors, by name; each long enough for `FEWEST_SAMPLES` samples. Without any, the
            author's own samples are the reference, of which there must be `FEWEST_OWN_SAMPLES`.
        sample_words: The length of a reference sample; by default `SAMPLE_WORDS`, or `OWN_SAMPLE_WORDS`.

    Attributes:
        variant: Which distance `distance` is: ``cosine`` with other authors, ``burrows`` without.

    Raises:
        ValueError: There is too little text for a profile; says of whom.
    """

    def __init__(
        self, author: Sequence[str], others: Mapping[str, Sequence[str]], sample_words: int | None = None
    ) -> None:
        import numpy as np

        self.variant: DeltaVariant = "cosine" if others else "burrows"
        sample_words = sample_words or (SAMPLE_WORDS if others else OWN_SAMPLE_WORDS)
        fewest = FEWEST_SAMPLES if others else FEWEST_OWN_SAMPLES
        own = samples(author, sample_words)
        rest = {name: samples(words, sample_words) for name, words in others.items()}
        short = [name for name, found in {"the author": own, **rest}.items() if len(found) < fewest]
        if short:
            raise ValueError(f"fewer than {fewest * sample_words} words of prose by {', '.join(short)}")
        share = min(len(found) for found in (own, *rest.values()))
        balanced = [Counts.of(one) for found in (own, *rest.values()) for one in _spread(found, share)]
        self.features, self.kind = _features(author, list(others.values()))
        frequencies = np.array([self._frequencies(one) for one in balanced])
        varied = np.ptp(frequencies, 0) > 0  # exact, while the deviation of equal numbers need not be 0
        if not others:
            varied &= (frequencies > 0).mean(0) > _CULLING
        self.features = tuple(word for word, kept in zip(self.features, varied, strict=True) if kept)
        if not self.features:
            raise ValueError("no word is frequent in the reference texts, and in some more than in others")
        self._mean = frequencies[:, varied].mean(0)
        self._deviation = frequencies[:, varied].std(0, ddof=1)
        self._profile = self.z_scores(Counts.of(author))
        self.samples = {name: [Counts.of(one) for one in found] for name, found in rest.items()}
        self.sample_words = sample_words

    def z_scores(self, text: Counts) -> Vector:
        """Return how many standard deviations each word's frequency is from the reference authors' mean."""
        scores: Vector = (self._frequencies(text) - self._mean) / self._deviation
        return scores

    def distance(self, text: Counts) -> float:
        """Return the distance that means something here, by `variant`."""
        return self.cosine_delta(text) if self.variant == "cosine" else self.delta(text)

    def delta(self, text: Counts) -> float:
        """Return Burrows's Delta between a text and the author."""
        import numpy as np

        return float(np.abs(self.z_scores(text) - self._profile).mean())

    def cosine_delta(self, text: Counts) -> float:
        """Return Cosine Delta between a text and the author: 0 the same direction, 1 none, 2 the opposite.

        Raises:
            ValueError: The author is the only one, and so has no direction.
        """
        import numpy as np

        if self.variant != "cosine":
            raise ValueError("Cosine Delta wants other authors")
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
