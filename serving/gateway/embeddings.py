"""``/v1/embeddings``: the vectors of the feature store, for texts of the client's."""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from llmtwin.documents import Kind
from llmtwin.errors import EmbeddingError
from llmtwin.features import embedder_for
from llmtwin.features.embedding import open_model
from llmtwin.settings import Settings
from serving.gateway.completions import ERRORS
from serving.gateway.errors import ApiError, invalid
from serving.gateway.relay import while_connected
from serving.gateway.schemas import EmbeddingRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

router = APIRouter(prefix="/v1", responses=ERRORS)

# A turn of the worker: requests with thousands of texts let those with one pass in between.
_PORTION = 32


@router.post("/embeddings")
async def embeddings(request: Request, body: EmbeddingRequest) -> dict[str, Any]:
    """Embed texts with the model that posts and articles were embedded with."""
    embedding: Embedding = request.app.state.embedding
    return await while_connected(request, embedding.answer(body))


class Embedding:
    """Embeds texts in a thread of its own, so that streams go on meanwhile.

    Args:
        settings: Which model.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.name = settings.text_model.rpartition("/")[2]
        self._worker = ThreadPoolExecutor(1, "embeddings")

    def close(self) -> None:
        """End the thread."""
        self._worker.shutdown(cancel_futures=True)

    async def answer(self, body: EmbeddingRequest) -> dict[str, Any]:
        """Return OpenAI's list of embeddings.

        Raises:
            ApiError: Another model (404), texts or a dimension it cannot do (400), or it cannot be loaded (503).
        """
        if body.model not in (self.name, self._settings.text_model):
            raise ApiError(
                404, f"{body.model!r} embeds nothing here: use {self.name!r}", code="model_not_found", param="model"
            )
        texts = [body.input] if isinstance(body.input, str) else body.input
        run = asyncio.get_running_loop().run_in_executor
        tokens = 0
        vectors: list[NDArray[np.float32]] = []
        for start in range(0, len(texts), _PORTION):
            portion = texts[start : start + _PORTION]
            used, embedded = await run(self._worker, partial(self._embed, portion, start, body.dimensions))
            tokens += used
            vectors.extend(embedded)
        data = [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, body.encoding_format)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "model": self.name, "data": data, "usage": usage}

    def _embed(self, texts: list[str], start: int, dimensions: int | None) -> tuple[int, NDArray[np.float32]]:
        try:
            model = open_model(self._settings.text_model, self._settings.home)
            embedder = embedder_for(Kind.ARTICLE, self._settings)
        except EmbeddingError as error:
            raise ApiError(503, f"the embedding model is not available: {error}", code="model_unavailable") from error
        if dimensions not in (None, embedder.dimension):
            raise invalid(f"{self.name} makes vectors of {embedder.dimension} numbers only", "dimensions")
        lengths = [len(encoding.ids) for encoding in model.encode(texts)]
        for number, length in enumerate(lengths, start):
            if length > embedder.max_tokens:
                raise invalid(
                    f"This model's maximum context length is {embedder.max_tokens} tokens, but input {number} has "
                    f"{length}: shorten it",
                    "input",
                    "context_length_exceeded",
                )
        return sum(lengths), embedder.embed(texts)


def _encoded(vector: NDArray[np.float32], encoding: str) -> list[float] | str:
    # OpenAI's base64 is of little-endian 32-bit floats.
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if encoding == "base64" else vector.tolist()
