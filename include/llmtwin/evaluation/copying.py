"""What an answer has copied from the training text: the longest run of words that stands in both.

The training text is a suffix array, so each answer costs a few binary searches however long the training text is
(Manber and Myers, Suffix Arrays, 1990). What is found is exact, not a hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Copy:
    """The longest run of an answer that stands in the training text.

    Attributes:
        length: In words.
        start: Where it begins in the answer, in words from 0.
        text: Which of the training texts holds it, from 0; None where no word is shared.
    """

    length: int
    start: int
    text: int | None


class TrainingText:
    """The words of all training texts, ready to be searched. A run never goes from one text into the next."""

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        import numpy as np

        self._ids: dict[str, int] = {}
        numbers: list[int] = []
        self._owners: list[int] = []
        for owner, words in enumerate(texts):
            # A number of its own ends each text, so that nothing matches across it.
            numbers += [*(self._ids.setdefault(word, len(self._ids)) for word in words), -1 - owner]
            self._owners += [owner] * (len(words) + 1)
        self._text: NDArray[np.int64] = np.array(numbers, dtype=np.int64)
        self._order = _suffix_array(self._text)
        self._first = self._text[self._order]

    def longest_copy(self, words: Sequence[str]) -> Copy:
        """Return the longest run of ``words`` that stands in a training text; the first of several."""
        best = Copy(0, 0, None)
        numbers = [self._ids.get(word) for word in words]
        for start in range(len(numbers)):
            if len(numbers) - start <= best.length:
                break
            length, position = self._match(numbers, start)
            if length > best.length:
                best = Copy(length, start, self._owners[position])
        return best

    def _match(self, numbers: Sequence[int | None], start: int) -> tuple[int, int]:
        """Return how far the words from ``start`` go on in the training text, and where there."""
        import numpy as np

        low, high, depth, position = 0, len(self._order), 0, 0
        column = self._first
        for number in numbers[start:]:
            if number is None:
                break
            left = low + int(np.searchsorted(column, number, "left"))
            right = low + int(np.searchsorted(column, number, "right"))
            if left == right:
                break
            low, high, depth, position = left, right, depth + 1, int(self._order[left])
            # The suffixes of the range agree in `depth` words, so they are sorted by the next one. None ends within
            # `depth` words, for a text's end is a number that no answer has.
            column = self._text[self._order[low:high] + depth]
        return depth, position


def _suffix_array(text: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the suffixes begin, in their order, by doubling: O(n log² n)."""
    import numpy as np

    count = len(text)
    rank = np.unique(text, return_inverse=True)[1].astype(np.int64)
    order = np.argsort(rank, kind="stable")
    step = 1
    while count and rank.max() < count - 1:
        following = np.full(count, -1, dtype=np.int64)
        following[:-step] = rank[step:]
        order = np.lexsort((following, rank))
        pairs = np.stack((rank[order], following[order]))
        rank[order] = np.concatenate(([0], np.cumsum((pairs[:, 1:] != pairs[:, :-1]).any(0))))
        step *= 2
    return order
