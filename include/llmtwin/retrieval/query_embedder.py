"""Questions to vectors, beside the event loop: what many requests ask at once is embedded in one batch.

A batch takes as long as its longest text on few cores, so nothing is waited for: while one batch is in the model, the
questions that arrive gather and make the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from llmtwin.documents import Kind
from llmtwin.features import Embedder, embedder_for
from llmtwin.features.embedding import open_model
from llmtwin.features.embedding.prompts import model_name, query_prompt
from llmtwin.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# More texts than this in one batch would keep the next ones waiting for long.
MAX_BATCH = 64


@dataclass(frozen=True)
class _Asked:
    text: str
    kind: Kind
    vector: asyncio.Future[NDArray[np.float32]]


class QueryEmbedder:
    """Embeds questions in one thread of its own. An async context manager; on entry the models are loaded and warm.

    Args:
        settings: Which models.
        kinds: What will be searched for.
    """

    def __init__(self, settings: Settings, kinds: Iterable[Kind] = tuple(Kind)) -> None:
        self._settings = settings
        self._kinds = tuple(kinds)
        self._worker = ThreadPoolExecutor(1, "query-embedder")
        self._queue: asyncio.Queue[_Asked] = asyncio.Queue()
        self._serving: asyncio.Task[None] | None = None
        # Kinds that share a model and an instruction share the vector.
        self._leader: dict[Kind, Kind] = {}
        self._embedders: dict[Kind, Embedder] = {}

    async def __aenter__(self) -> Self:
        """Load the models.

        Raises:
            EmbeddingError: One cannot be found or loaded.
        """
        await asyncio.get_running_loop().run_in_executor(self._worker, self._load)
        self._serving = asyncio.create_task(self._serve(), name="query-embedder")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])
        while not self._queue.empty():
            self._queue.get_nowait().vector.cancel()
        self._worker.shutdown(wait=False)

    async def embed(self, texts: Sequence[str], kinds: Iterable[Kind]) -> dict[Kind, list[NDArray[np.float32]]]:
        """Return for each kind the texts' unit vectors, each of shape (dimension,), in the order of the texts."""
        loop = asyncio.get_running_loop()
        wanted = {kind: self._leader[kind] for kind in kinds}
        asked: dict[Kind, list[asyncio.Future[NDArray[np.float32]]]] = {}
        for leader in dict.fromkeys(wanted.values()):
            asked[leader] = [loop.create_future() for _ in texts]
            for text, vector in zip(texts, asked[leader], strict=True):
                self._queue.put_nowait(_Asked(text, leader, vector))
        vectors = {leader: list(await asyncio.gather(*futures)) for leader, futures in asked.items()}
        return {kind: vectors[leader] for kind, leader in wanted.items()}

    async def _serve(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < MAX_BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                await self._answer([one for one in batch if not one.vector.done()])
            finally:
                for one in batch:
                    one.vector.cancel()  # does nothing to those that were answered

    async def _answer(self, batch: Sequence[_Asked]) -> None:
        loop = asyncio.get_running_loop()
        for kind in dict.fromkeys(one.kind for one in batch):
            members = [one for one in batch if one.kind is kind]
            texts = list(dict.fromkeys(one.text for one in members))
            working = loop.run_in_executor(self._worker, self._embedders[kind].embed_queries, texts)
            await asyncio.wait([working])
            error = working.exception()
            vectors = {} if error else dict(zip(texts, working.result(), strict=True))
            for one in members:
                if one.vector.done():  # its request is gone
                    continue
                if error:
                    one.vector.set_exception(error)
                else:
                    one.vector.set_result(vectors[one.text])

    def _load(self) -> None:
        leaders: dict[tuple[str, str], Kind] = {}
        for kind in self._kinds:
            name = model_name(kind, self._settings)
            prompt = query_prompt(open_model(name, self._settings.home), kind)
            self._leader[kind] = leaders.setdefault((name, prompt), kind)
        for kind in leaders.values():
            self._embedders[kind] = embedder_for(kind, self._settings)
            self._embedders[kind].embed_queries(["warm"])
