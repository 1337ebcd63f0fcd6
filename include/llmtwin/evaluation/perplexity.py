"""Perplexity: how surprised a model is by the author's own unseen text.

    PPL = exp( - (1/N) · sum over the N tokens of  ln p(token | prompt, tokens before) )

(Jelinek, Mercer, Bahl and Baker, Perplexity, a measure of the difficulty of speech recognition tasks, 1977.) Only
tokens of the author's text are counted, not the prompt and not the end-of-turn mark. Every token weighs the same,
whichever row it stands in. Perplexities can be compared between models that share a tokenizer, which adapters of one
base model do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from llmtwin.evaluation.intervals import Estimate, bootstrap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmtwin.evaluation.intervals import Draws


class Surprise(BaseModel):
    """What a model made of one text, or of all texts of a document.

    Attributes:
        tokens: How many were scored.
        nats: The negative natural logarithms of their probabilities, summed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int
    nats: float

    def __add__(self, other: Surprise) -> Surprise:
        return Surprise(tokens=self.tokens + other.tokens, nats=self.nats + other.nats)


def by_document(documents: Sequence[str], surprises: Sequence[Surprise]) -> dict[str, Surprise]:
    """Return one sum per document.

    Args:
        documents: The id of each text's document.
        surprises: Of each text.
    """
    total: dict[str, Surprise] = {}
    for document, surprise in zip(documents, surprises, strict=True):
        total[document] = total[document] + surprise if document in total else surprise
    return total


def perplexity(found: Mapping[str, Surprise], seed: int) -> Estimate:
    """Return the perplexity over all documents."""
    import numpy as np

    rate = _rate(found, sorted(found))
    return bootstrap(lambda drawn: np.exp(rate(drawn)), len(found), seed)


def ratio(one: Mapping[str, Surprise], other: Mapping[str, Surprise], seed: int) -> Estimate:
    """Return one model's perplexity divided by another's on the same documents: below 1, the one knows them better."""
    import numpy as np

    names = sorted(one)
    own, others = _rate(one, names), _rate(other, names)
    return bootstrap(lambda drawn: np.exp(own(drawn) - others(drawn)), len(names), seed)


def bits_apart(one: Mapping[str, Surprise], other: Mapping[str, Surprise], seed: int) -> Estimate:
    """Return how many bits a token one model needs more than another on the same documents; negative: fewer."""
    import numpy as np

    names = sorted(one)
    own, others = _rate(one, names), _rate(other, names)
    return bootstrap(lambda drawn: (own(drawn) - others(drawn)) / np.log(2), len(names), seed)


def _rate(found: Mapping[str, Surprise], names: Sequence[str]) -> Callable[[Draws], NDArray[np.float64]]:
    """Return what gives the nats a token of each resample of documents."""
    import numpy as np

    tokens = np.array([found[name].tokens for name in names], dtype=float)
    nats = np.array([found[name].nats for name in names], dtype=float)
    return lambda drawn: nats[drawn].sum(1) / tokens[drawn].sum(1)
