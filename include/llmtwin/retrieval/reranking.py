"""Reranking: the question and each candidate are read together, and sorted by how well they fit.

A cross-encoder does that best, and has to be downloaded. The default needs no other model than the one that embeds: it
compares the question with each candidate token by token, see `LateInteraction`.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from llmtwin.documents import Kind
from llmtwin.errors import EmbeddingError
from llmtwin.features import embedder_for, encode_document, encode_query
from llmtwin.features.sparse import K1
from llmtwin.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmtwin.features.embedding import Embedder


class Reranker(ABC):
    """Says how well texts answer a question. Called from one thread at a time."""

    @abstractmethod
    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return a score for each text, in their order; higher is better."""


class CrossEncoder(Reranker):
    """A cross-encoder that the settings name.

    Args:
        name: A folder (absolute or under `home`), or a hub id.
        home: The project's folder.

    Raises:
        EmbeddingError: It cannot be found or loaded, or gives more than one score.
    """

    def __init__(self, name: str, home: Path) -> None:
        from sentence_transformers import CrossEncoder as Pretrained

        folder = home / Path(name).expanduser()
        try:
            self._model: Any = Pretrained(str(folder) if folder.is_dir() else name, num_labels=1)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise EmbeddingError(
                f"the reranker {name!r} cannot be loaded ({reason}): name a cross-encoder's folder or hub id in "
                "LLMTWIN_RERANKER_MODEL, or leave it empty for the one that needs no other model"
            ) from error

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return the model's scores; see `Reranker`."""
        found: Any = self._model.predict([(question, text) for text in texts], show_progress_bar=False)
        return [float(score) for score in found]


class LateInteraction(Reranker):
    """The mean of three signals, each at most 1, from one pass of the embedding model over the candidates:

    - for each token of the question the most similar token of the text, averaged (MaxSim: Khattab and Zaharia, ColBERT,
      SIGIR 2020, section 3.2; here with a model that was not trained for it);
    - the cosine of question and text as wholes;
    - the share of the highest BM25 score there could be.

    Rare tokens and terms count more than frequent ones, by their inverse document frequency among the candidates: words
    of the question that all of them hold say nothing about their order.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return the means; see `Reranker`."""
        import numpy as np

        asked, *candidates = self._embedder.embed_tokens([question, *texts])
        by_words = word_coverage(question, texts)
        if not len(asked.ids):
            return by_words
        rarity = _rarity(Counter(token for one in candidates for token in set(one.ids.tolist())), len(texts))
        weights = np.array([rarity(token) for token in asked.ids.tolist()])
        return [
            float((_max_similarity(asked.tokens, one.tokens, weights) + asked.text @ one.text + words) / 3)
            for one, words in zip(candidates, by_words, strict=True)
        ]


class RerankerThread:
    """A reranker in one thread of its own, beside the event loop. An async context manager; loads on entry.

    Args:
        settings: Which reranker, and how many questions may wait for it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._worker = ThreadPoolExecutor(1, "reranker")
        self._reranker: Reranker | None = None
        self._at_work = 0

    async def __aenter__(self) -> Self:
        """Load it.

        Raises:
            EmbeddingError: The model cannot be found or loaded.
        """
        loop = asyncio.get_running_loop()
        self._reranker = await loop.run_in_executor(self._worker, load_reranker, self._settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)

    @property
    def is_overloaded(self) -> bool:
        """Whether so many questions wait that a further one had better do without."""
        return self._at_work > self._settings.reranker_queue

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return a score for each text, in their order; higher is better."""
        if self._reranker is None:
            raise RuntimeError("a reranker is used inside its `async with` only")
        loop = asyncio.get_running_loop()
        working = loop.run_in_executor(self._worker, self._reranker.scores, question, list(texts))
        self._at_work += 1
        working.add_done_callback(self._finish)
        return await asyncio.shield(working)  # who gives up waiting does not stop the thread, which stays at work

    def _finish(self, working: asyncio.Future[list[float]]) -> None:
        self._at_work -= 1
        if not working.cancelled():
            working.exception()  # seen, even if nobody waits any more


def load_reranker(settings: Settings) -> Reranker:
    """Return the reranker that the settings name, warm.

    Raises:
        EmbeddingError: It cannot be found or loaded.
    """
    if settings.reranker_model:
        reranker: Reranker = CrossEncoder(settings.reranker_model, settings.home)
    else:
        reranker = LateInteraction(embedder_for(Kind.ARTICLE, settings))
    reranker.scores("warm", ["warm"])
    return reranker


def _max_similarity(question: NDArray[np.float32], text: NDArray[np.float32], weights: NDArray[np.float64]) -> float:
    if not len(text):
        return 0.0
    best = (question @ text.T).max(axis=1)
    return float(best @ weights / weights.sum())


def word_coverage(question: str, texts: Sequence[str]) -> list[float]:
    """Return what part of the highest possible BM25 score each text reaches, from 0 to 1."""
    terms, _ = encode_query(question)
    documents = [dict(zip(*encode_document(text), strict=True)) for text in texts]
    rarity = _rarity(Counter(term for term in terms for document in documents if term in document), len(texts))
    highest = sum(rarity(term) for term in terms) * (K1 + 1)
    if not terms:
        return [0.0] * len(texts)
    return [sum(rarity(term) * document.get(term, 0.0) for term in terms) / highest for document in documents]


def _rarity(frequencies: Counter[int], documents: int) -> Callable[[int], float]:
    """Return what gives a term's inverse document frequency, as Qdrant and Lucene compute it: always above 0."""

    def rarity(term: int) -> float:
        frequency = frequencies[term]
        return math.log(1 + (documents - frequency + 0.5) / (frequency + 0.5))

    return rarity
