"""sentence-transformers on PyTorch: the GPU's way, and the reference for the other."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmtwin.errors import EmbeddingError
from llmtwin.features.embedding.encoder import Encoder, TokenVectors, cut, normalized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    from llmtwin.features.embedding.model import Model

# Small batches leave a GPU idle.
_GPU_BATCH_SIZE = 128


class TorchEncoder(Encoder):
    """Runs the model as it was published."""

    def __init__(self, model: Model, batch_size: int) -> None:
        self._transformer = load_sentence_transformer(model)
        on_gpu = self._transformer.device.type != "cpu"
        super().__init__(model, max(batch_size, _GPU_BATCH_SIZE) if on_gpu else batch_size)
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
        """Return unit vectors; see `Encoder`."""
        import numpy as np

        if not texts:
            return np.empty((0, self.model.dimension), np.float32)
        with self._lock:
            vectors: Any = self._transformer.encode(
                list(texts),
                prompt=prompt or None,
                batch_size=self.batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        return np.asarray(vectors, np.float32)

    def encode_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Return a vector for each token; see `Encoder`."""
        import numpy as np

        if not texts:
            return []
        with self._lock:
            outputs: Any = self._transformer.encode(
                list(texts), output_value=None, batch_size=self.batch_size, show_progress_bar=False
            )
        found = []
        for text, output in zip(self.model.encode(texts), outputs, strict=True):
            ids, plain = cut(text, self.model.max_tokens)
            tokens = output["token_embeddings"][: len(ids)].float().cpu().numpy()[plain]
            whole = output["sentence_embedding"].float().cpu().numpy()
            found.append(TokenVectors(np.asarray(ids)[plain], normalized(tokens), normalized(whole)))
        return found


def load_sentence_transformer(model: Model, device: str | None = None) -> SentenceTransformer:
    """Load a model into PyTorch, on the GPU where there is one.

    Raises:
        EmbeddingError: The folder is damaged, or of an architecture that this version does not know.
    """
    from sentence_transformers import SentenceTransformer

    try:
        loaded = SentenceTransformer(str(model.path), device=device or _device())
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise EmbeddingError(f"embedding model {model.name!r} in {model.path} cannot be loaded: {error}") from error
    loaded.max_seq_length = model.max_tokens
    if model.is_instructor:
        # Done by sentence-transformers itself only for three names on the hub.
        loaded.set_pooling_include_prompt(False)
    return loaded


def gpu_available() -> bool:
    """Whether PyTorch can use a GPU; without any device file it is not asked, for importing it takes seconds."""
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return False
    import torch

    return torch.cuda.is_available()


def _device() -> str:
    return "cuda" if gpu_available() else "cpu"
