"""From a question to the passages that may answer it.

::

    links ───────────────────────────────────────────────────────────────────┐ (beside all the rest)
    understand → embed → search → rerank → deduplicate → parents → passages ◀┘

Every technique is an option, and what cannot be done is a note: an answer from fewer passages is better than none. Only
Qdrant is not optional.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID

from llmtwin.documents import Kind, user_id
from llmtwin.features import encode_query
from llmtwin.retrieval import links, understanding
from llmtwin.retrieval.directory import Directory
from llmtwin.retrieval.duplicates import without_duplicates
from llmtwin.retrieval.links import LinkReader
from llmtwin.retrieval.neighbours import with_neighbours
from llmtwin.retrieval.options import Options
from llmtwin.retrieval.passage import Passage, Retrieved
from llmtwin.retrieval.query_embedder import QueryEmbedder
from llmtwin.retrieval.reranking import RerankerThread
from llmtwin.retrieval.retriever import Retriever, retrievers
from llmtwin.retrieval.store import asking, open_client, served_collections
from llmtwin.retrieval.understanding import Complete, Scope
from llmtwin.settings import Settings
from llmtwin.vectors import QueryVectors, chunk_filter

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

# A question is searched by its beginning and its end: the embedding model's window is shorter than either, and a sparse
# query of thousands of terms takes long and finds everything.
LONGEST_QUESTION = 4_000
# Without reranking, so many times top_k are fetched for duplicates to be dropped from.
_SPARE = 3

_One = TypeVar("_One")
_Other = TypeVar("_Other")


@dataclass
class _Request:
    """One question on its way."""

    question: str
    options: Options
    complete: Complete | None
    served: list[Retriever] = field(default_factory=list)
    steps: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.steps[name] = self.steps.get(name, 0.0) + time.perf_counter() - started


class Retrieval:
    """Answers questions with passages. An async context manager that holds the client and the warm models::

        async with Retrieval(settings) as retrieval:
            found = await retrieval.retrieve("How do I quantize a model?")

    Entering loads models, which takes seconds, and needs no Qdrant. One per process; any number of requests at once.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._retrievers = retrievers(settings)
        self._directory = Directory()
        self._embedder = QueryEmbedder(settings)
        self._reranker = RerankerThread(settings)
        self._links = LinkReader(settings)
        self._open = AsyncExitStack()
        self._client: AsyncQdrantClient

    async def __aenter__(self) -> Self:
        """Load the models.

        Raises:
            EmbeddingError: One cannot be found or loaded.
        """
        async with AsyncExitStack() as opening:
            for part in (self._embedder, self._reranker, self._links):
                await opening.enter_async_context(part)
            self._client = open_client(self._settings)
            opening.push_async_callback(self._client.close)
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def retrieve(
        self, question: str, options: Options | None = None, complete: Complete | None = None
    ) -> Retrieved:
        """Return the passages for a question, best first.

        Args:
            question: In the user's words, of any length.
            options: Where to look, and how; by default as the settings say.
            complete: The language model, for expansion and self-query. Raises `LlmtwinError` when it cannot answer.

        Raises:
            VectorStoreError: Qdrant is down, refuses, serves another model's vectors, or takes longer for one of its
                answers than ``retrieval_timeout_seconds``.
            ForbiddenLinkError: The options name a link that leads where none may lead.
        """
        started = time.perf_counter()
        options = options or Options.of(self._settings)
        mentioned = links.links_in(question)
        request = _Request(_shortened(links.without_links(question)), options, complete)
        if len(request.question) < len(question) and len(question) > LONGEST_QUESTION:
            request.notes.append(
                f"the question has {len(question):,} characters: it was searched for by its first and last "
                f"{LONGEST_QUESTION // 2:,}"
            )
        given, found = await _together(self._ground(request, mentioned), self._find(request))
        pages = {passage.document_id for passage in given}
        request.steps["total"] = time.perf_counter() - started
        return Retrieved(
            [*given, *(passage for passage in found if passage.document_id not in pages)], request.steps, request.notes
        )

    async def _ground(self, request: _Request, mentioned: Sequence[str]) -> list[Passage]:
        if not (request.options.links or mentioned):
            return []
        with request.step("links"):
            return await self._links.read(request.question, request.options.links, mentioned, request.notes)

    async def _find(self, request: _Request) -> list[Passage]:
        if not request.question.strip():
            request.notes.append("the question is empty: nothing was searched for")
            return []
        wordings, scope = await self._understand(request)
        passages = await self._search(request, wordings, scope)
        if not passages and scope.narrows:
            request.notes.append("nothing fits what the question says about its source: all was searched")
            passages = await self._search(request, wordings, Scope())
        if not passages:
            request.notes.append(await self._why_nothing(request))
            return []
        passages = await self._rerank(request, passages)
        if request.options.deduplicate:
            with request.step("deduplicate"):
                passages = without_duplicates(passages, request.options.top_k)
        passages = passages[: request.options.top_k]
        if request.options.parents:
            with request.step("parents"):
                async with asking(self._settings):
                    passages = await with_neighbours(self._client, self._retrievers, passages)
        return passages

    async def _understand(self, request: _Request) -> tuple[list[str], Scope]:
        """Return all wordings to search for, the user's first, and what the question narrows the search to."""
        options, complete = request.options, request.complete
        if not (options.expansion or options.self_query):
            return [request.question], Scope()
        if complete is None:
            request.notes.append("neither expansion nor self-query without a language model")
            return [request.question], Scope()
        limit = self._settings.rag_timeout_seconds / 2
        with request.step("understand"):
            try:
                async with asyncio.timeout(limit):
                    others, scope = await _together(self._rephrase(request, complete), self._narrow(request, complete))
            except TimeoutError:
                request.notes.append(f"the language model took longer than {limit:g} s to read the question")
                return [request.question], Scope()
        return [request.question, *others], scope

    async def _rephrase(self, request: _Request, complete: Complete) -> list[str]:
        count = request.options.expansion
        return await understanding.rephrase(request.question, count, complete, request.notes) if count else []

    async def _narrow(self, request: _Request, complete: Complete) -> Scope:
        if not request.options.self_query:
            return Scope()
        asked = await understanding.read_constraints(request.question, complete, request.notes)
        if request.options.authors:
            asked = asked.model_copy(update={"author": None})  # the request knows better
        collections = await served_collections(self._client, self._settings)
        served = [kind for kind, one in self._retrievers.items() if one.is_served(collections)]
        async with asking(self._settings):
            await self._directory.refresh(self._client, served)
        directory = self._directory
        return understanding.settle(asked, directory.authors, directory.platforms, request.options.kinds, request.notes)

    async def _search(self, request: _Request, wordings: Sequence[str], scope: Scope) -> list[Passage]:
        """Return the best chunks of all kinds; enough for the steps that sort and drop."""
        options = request.options
        kinds = [kind for kind in options.kinds if not scope.kinds or kind in scope.kinds]
        with request.step("embed"):
            collections, queries = await _together(
                served_collections(self._client, self._settings), self._queries(wordings, kinds, options)
            )
        request.served = [one for kind in kinds if (one := self._retrievers[kind]).is_served(collections)]
        chosen = chunk_filter(
            scope.author_ids or _author_ids(options.authors),
            scope.platforms or None,
            scope.published_from,
            scope.published_before,
        )
        limit = self._limit(options)
        with request.step("search"):
            async with asking(self._settings):
                found = await asyncio.gather(
                    *(
                        one.search(self._client, queries[one.kind], limit, chosen)
                        for one in request.served
                        if queries[one.kind]
                    )
                )
        passages = [passage for of_kind in found for passage in of_kind]
        # Equal scores are frequent where ranks are fused, and Qdrant returns them in any order.
        return sorted(passages, key=lambda one: (-one.score, one.chunk_id))[:limit]

    async def _queries(
        self, wordings: Sequence[str], kinds: Sequence[Kind], options: Options
    ) -> Mapping[Kind, list[QueryVectors]]:
        """Return the wordings as vectors. All rephrasings together count as much as the user's own words."""
        weights = [1.0, *[1.0 / (len(wordings) - 1)] * (len(wordings) - 1)] if len(wordings) > 1 else [1.0]
        sparse = [encode_query(text) if options.mode != "dense" else None for text in wordings]
        dense = await self._embedder.embed(wordings, kinds) if options.mode != "sparse" else {}
        queries: dict[Kind, list[QueryVectors]] = {}
        for kind in kinds:
            vectors = [vector.tolist() for vector in dense[kind]] if dense else [None] * len(wordings)
            asked = [QueryVectors(*one) for one in zip(vectors, sparse, weights, strict=True)]
            queries[kind] = [one for one in asked if one.dense is not None or (one.sparse and one.sparse[0])]
        return queries

    def _limit(self, options: Options) -> int:
        if options.rerank:
            return max(self._settings.retrieval_candidates, options.top_k)
        return options.top_k * _SPARE if options.deduplicate else options.top_k

    async def _rerank(self, request: _Request, passages: list[Passage]) -> list[Passage]:
        if not request.options.rerank:
            return passages
        if self._reranker.is_overloaded:
            request.notes.append("not reranked: too many questions wait for that")
            return passages
        limit = self._settings.rag_timeout_seconds / 4
        with request.step("rerank"):
            try:
                async with asyncio.timeout(limit):
                    scores = await self._reranker.scores(request.question, [passage.content for passage in passages])
            except TimeoutError:
                request.notes.append(f"not reranked: that took longer than {limit:g} s")
                return passages
        scored = [replace(passage, score=score) for passage, score in zip(passages, scores, strict=True)]
        return sorted(scored, key=lambda one: -one.score)

    async def _why_nothing(self, request: _Request) -> str:
        async with asking(self._settings):
            await self._directory.refresh(self._client, [one.kind for one in request.served])
        if not self._directory.authors:
            return "nothing is searchable yet: see `llmtwin status`"
        if request.options.authors:
            known = {str(id_) for id_ in self._directory.authors}
            names = zip(request.options.authors, _author_ids(request.options.authors) or [], strict=True)
            if strangers := [name for name, id_ in names if id_ not in known]:
                return f"nothing was found: there is no writing of {', '.join(strangers)}"
        return "nothing was found"


async def _together(one: Coroutine[Any, Any, _One], other: Coroutine[Any, Any, _Other]) -> tuple[_One, _Other]:
    """Return both results; when one fails, its error, and the other is cancelled."""
    tasks = asyncio.ensure_future(one), asyncio.ensure_future(other)
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _author_ids(authors: Sequence[str]) -> list[str] | None:
    return [_author_id(one) for one in authors] or None


def _author_id(author: str) -> str:
    """Return the id of an author who is given by it, or by full name."""
    try:
        return str(UUID(author))
    except ValueError:
        return str(user_id(author))


def _shortened(question: str) -> str:
    if len(question) <= LONGEST_QUESTION:
        return question
    half = LONGEST_QUESTION // 2
    return f"{question[:half]} {question[-half:]}"
