"""The two ways to run a model. Each is loaded once and used by any number of threads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmtwin.features.embedding.model import Model


@dataclass(frozen=True)
class TokenVectors:
    """What a model says of one text, token by token.

    Attributes:
        ids: The tokens, special ones left out; shape (tokens,).
        tokens: Their contextual vectors, of unit length; shape (tokens, size of the model's hidden layer).
        text: The vector of the whole text, of unit length; shape (dimension,).
    """

    ids: NDArray[np.int64]
    tokens: NDArray[np.float32]
    text: NDArray[np.float32]


class Encoder(ABC):
    """A loaded model.

    Args:
        model: What is loaded.
        batch_size: Texts per forward pass.
    """

    def __init__(self, model: Model, batch_size: int) -> None:
        self.model = model
        self.batch_size = batch_size

    @abstractmethod
    def encode(self, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
        """Return unit vectors, shape (len(texts), dimension), in the order of the texts.

        Texts longer than the window are cut to it. With a prompt, its tokens are read but left out of pooling.
        """

    @abstractmethod
    def encode_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Return the texts with a vector for each of their tokens; texts longer than the window are cut to it."""


def cut(encoding: Any, max_tokens: int) -> tuple[list[int], NDArray[np.intp]]:
    """Return token ids, at most the window's, keeping the special token at the end; and which of them are not special.

    Args:
        encoding: Of the model's tokenizer.
        max_tokens: The window.
    """
    import numpy as np

    ids: list[int] = encoding.ids
    special: list[int] = encoding.special_tokens_mask
    if len(ids) > max_tokens:
        kept_at_end = special[-1]
        ids = ids[: max_tokens - kept_at_end] + ids[len(ids) - kept_at_end :]
        special = special[: max_tokens - kept_at_end] + special[len(special) - kept_at_end :]
    return ids, np.flatnonzero(np.asarray(special) == 0)


def normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vectors along the last axis at unit length; one of zeros stays."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(vectors, lengths, where=lengths > 0, out=np.zeros_like(vectors))
    return unit
