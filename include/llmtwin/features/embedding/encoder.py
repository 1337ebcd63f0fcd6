"""The two ways to run a model. Each is loaded once and used by any number of threads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmtwin.features.embedding.model import Model


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
