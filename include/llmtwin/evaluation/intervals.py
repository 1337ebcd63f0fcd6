"""How sure a number is: intervals over documents.

The unit is the document, never the row or the token: what one document says hangs together, so its rows are resampled
together (cluster bootstrap: Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). Two
models are compared on the same resampled documents (paired bootstrap: Koehn, Statistical Significance Tests for Machine
Translation Evaluation, EMNLP 2004).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Draws = NDArray[np.intp]

LEVEL = 0.95
RESAMPLES = 4_000
# An interval from fewer documents is drawn, but too narrow to be believed; the report says so.
FEW_DOCUMENTS = 10

Item = TypeVar("Item")


class Estimate(BaseModel):
    """A number and the interval around it.

    Attributes:
        value: The number.
        low: The interval's lower end; None where there is only one document, and nothing to tell from.
        high: Its upper end.
        documents: How many the interval comes from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float | None = None
    high: float | None = None
    documents: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends; None where there are none, or one is no number that says anything."""
        if self.low is None or self.high is None or not math.isfinite(self.low) or not math.isfinite(self.high):
            return None
        return self.low, self.high


def draws(documents: int, seed: int, resamples: int = RESAMPLES) -> Draws:
    """Return which documents each resample takes: a matrix of ``resamples`` × ``documents`` numbers from 0."""
    import numpy as np

    return np.random.default_rng(seed).integers(0, documents, size=(resamples, documents))


def bootstrap(statistic: Callable[[Draws], NDArray[np.float64]], documents: int, seed: int) -> Estimate:
    """Return a statistic of the documents with its percentile interval (Efron and Tibshirani 1993, chapter 13).

    Args:
        statistic: From a matrix whose rows name documents (repeats allowed) to one number a row. The order of the
            documents must not matter.
        documents: How many there are; at least one.
        seed: The same seed and number of documents: the same resamples, so that comparisons are paired.
    """
    import numpy as np

    value = float(statistic(np.arange(documents)[None, :])[0])
    if documents < 2:
        return Estimate(value=value, documents=documents)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(statistic(draws(documents, seed)), [tail, 1 - tail])
    return Estimate(value=value, low=float(low), high=float(high), documents=documents)


def mean(by_document: Sequence[Sequence[float]], seed: int) -> Estimate:
    """Return the mean over all rows, resampled by document.

    Args:
        by_document: The numbers of each document; none of them empty.
        seed: See `bootstrap`.
    """
    import numpy as np

    sums = np.array([sum(numbers) for numbers in by_document], dtype=float)
    counts = np.array([len(numbers) for numbers in by_document], dtype=float)
    return bootstrap(lambda drawn: sums[drawn].sum(1) / counts[drawn].sum(1), len(by_document), seed)


def jackknife(statistic: Callable[[Sequence[Item]], float], documents: Sequence[Item]) -> Estimate:
    """Return a statistic with the interval of the delete-one jackknife (Efron and Tibshirani 1993, chapter 11).

    For distances between word frequencies. The bootstrap's repeated documents add noise to the frequencies, and noise
    adds to a distance: its interval would lie above the distance it is meant to go around.

    Args:
        statistic: Of some of the documents; smooth, as a mean of frequencies is and a median is not.
        documents: All of them; at least one.
    """
    import numpy as np
    from scipy.stats import t

    value = statistic(documents)
    count = len(documents)
    if count < 2:
        return Estimate(value=value, documents=count)
    without = np.array([statistic([*documents[:left], *documents[left + 1 :]]) for left in range(count)])
    error = float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))
    reach = float(t.ppf((1 + LEVEL) / 2, count - 1)) * error
    return Estimate(value=value, low=value - reach, high=value + reach, documents=count)
