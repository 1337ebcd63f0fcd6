"""Authorship: whom a classifier takes a text for, and how far the classifier is to be believed.

Character n-grams and a linear model, which remain the strongest simple method for short texts (Stamatatos, A Survey of
Modern Authorship Attribution Methods, JASIST 60(3), 2009; Kestemont and others, Overview of PAN 2018). Before that, the
letters of every word that is not a function word are masked: what is left is function words, word lengths and
punctuation, so that the subject gives nothing away (the DV-MA distortion of Stamatatos, Masking Topic-Related
Information to Enhance Authorship Attribution, JASIST 69(3), 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import regex

from llmtwin.evaluation.words import function_words

FEWEST_DOCUMENTS = 3
_TOKEN = regex.compile(r"[\p{L}\p{M}'’]+|\p{N}+")


@dataclass(frozen=True)
class Sample:
    """A piece of prose for the classifier.

    Attributes:
        text: As written.
        document: The id of the document it is from.
    """

    text: str
    document: str


class AuthorshipClassifier:
    """Tells one author's texts from others'. Trained on construction.

    Args:
        author: Of at least `FEWEST_DOCUMENTS` documents.
        others: The same of other authors.
        seed: Of the solver.

    Raises:
        ValueError: There are too few documents on either side.
    """

    def __init__(self, author: Sequence[Sample], others: Sequence[Sample], seed: int) -> None:
        for name, found in (("the author", author), ("other authors", others)):
            documents = len({sample.document for sample in found})
            if documents < FEWEST_DOCUMENTS:
                raise ValueError(f"{documents} documents by {name} to learn from, and {FEWEST_DOCUMENTS} are needed")
        labels = [1] * len(author) + [0] * len(others)
        self._model: Any = _pipeline(seed).fit([masked(sample.text) for sample in (*author, *others)], labels)

    def accuracy(self, author: Sequence[str], others: Sequence[str]) -> float:
        """Return its balanced accuracy on texts it was not trained on: the mean of the shares right of each side.

        0.5 is chance. Its scores say as much as this number does.
        """
        own, rest = self.scores(author), self.scores(others)
        right = sum(score > 0.5 for score in own) / len(own)
        return (right + sum(score < 0.5 for score in rest) / len(rest)) / 2

    def scores(self, texts: Sequence[str]) -> list[float]:
        """Return for each text how probable it is that the author wrote it, 0 to 1, both sides being equally likely."""
        found = self._model.predict_proba([masked(text) for text in texts])[:, 1]
        return [float(score) for score in found]


def masked(text: str) -> str:
    """Return a text with ``*`` for each letter of words that are no function words, and ``#`` for each digit."""
    closed = function_words()

    def replace(match: regex.Match[str]) -> str:
        word = match[0]
        if word[0].isdecimal() or not word[0].isalpha():
            return "#" * len(word) if word[0].isnumeric() else word
        return word if word.replace("’", "'").casefold() in closed else "*" * len(word)

    return _TOKEN.sub(replace, text)


def _pipeline(seed: int) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(
        TfidfVectorizer(
            analyzer="char", ngram_range=(2, 4), min_df=3, max_features=50_000, sublinear_tf=True, lowercase=False
        ),
        LogisticRegression(C=10.0, class_weight="balanced", max_iter=2_000, random_state=seed),
    )
