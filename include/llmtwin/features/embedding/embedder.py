"""One embedder for each kind of document, over models that are loaded once per process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from llmtwin.documents import Kind
from llmtwin.features.embedding.encoder import Encoder, TokenVectors
from llmtwin.features.embedding.model import Model, open_model
from llmtwin.features.embedding.prompts import document_prompt, model_name, query_prompt
from llmtwin.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = structlog.get_logger(__name__)

_loading = threading.Lock()


class Embedder:
    """Embeds documents and queries of one kind. Safe to use from several threads.

    Attributes:
        model_id: What chunks are stamped with; changes when vectors do.
        dimension: The length of a vector.
        max_tokens: The model's window, special tokens and prompt included.
    """

    def __init__(self, kind: Kind, encoder: Encoder) -> None:
        self._encoder = encoder
        self._document_prompt = document_prompt(encoder.model, kind)
        self._query_prompt = query_prompt(encoder.model, kind)
        self.model_id = model_id(encoder.model, kind)
        self.dimension = encoder.model.dimension
        self.max_tokens = encoder.model.max_tokens

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the texts' unit vectors, shape (len(texts), dimension), in their order."""
        return self._encoder.encode(texts, self._document_prompt)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return a query's unit vector, shape (dimension,)."""
        vector: NDArray[np.float32] = self.embed_queries([text])[0]
        return vector

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the queries' unit vectors, shape (len(texts), dimension), in their order."""
        return self._encoder.encode(texts, self._query_prompt)

    def embed_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Return the texts with a vector for each token; for models that are asked without a prompt."""
        return self._encoder.encode_tokens(texts)


def embedder_for(kind: Kind, settings: Settings) -> Embedder:
    """Return the embedder of a kind; loads its model on the first call of the process.

    Raises:
        EmbeddingError: The model cannot be found or loaded.
    """
    with _loading:
        return _embedder(kind, settings)


def embed_query(text: str, kind: Kind, settings: Settings) -> NDArray[np.float32]:
    """Return the unit vector, shape (dimension,), of a query for documents of this kind.

    Raises:
        EmbeddingError: The model cannot be found or loaded.
    """
    return embedder_for(kind, settings).embed_query(text)


def model_id(model: Model, kind: Kind) -> str:
    """Return the model's name and a digest of all that its vectors depend on: weights, tokenizer, prompt.

    The backend is not part of it: its vectors agree to a cosine of 0.9999.
    """
    return f"{model.name}@{model.digest(document_prompt(model, kind))[:8]}"


@lru_cache
def _embedder(kind: Kind, settings: Settings) -> Embedder:
    model = open_model(model_name(kind, settings), settings.home)
    return Embedder(kind, _encoder(model, settings.embedding_backend, settings.embedding_batch_size, settings.models))


@lru_cache
def _encoder(model: Model, backend: str, batch_size: int, converted: Path) -> Encoder:
    # By what a model's loading depends on, not by all settings: those that differ elsewhere share one.
    from llmtwin.features.embedding.torch_encoder import TorchEncoder, gpu_available

    if backend == "torch" or (backend == "auto" and gpu_available()):
        return TorchEncoder(model, batch_size)

    from llmtwin.features.embedding.openvino_encoder import ConversionError, OpenvinoEncoder

    try:
        return OpenvinoEncoder(model, batch_size, converted)
    except ConversionError as error:
        log.warning("embedding with PyTorch instead of OpenVINO", model=model.name, reason=str(error))
        return TorchEncoder(model, batch_size)
