"""Link grounding: a page that a question names is read now and cut into passages, and stored nowhere.

Whoever asks is trusted less than whoever runs this machine: local files are never read, private addresses only if
``retrieval_links_private`` says so, whatever the crawler may do. One page is read and nothing that it leads to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from llmtwin.documents import DocumentChunk, Kind, User
from llmtwin.errors import ForbiddenLinkError, LlmtwinError
from llmtwin.features import handler_for
from llmtwin.features.markdown import URL
from llmtwin.retrieval.passage import Passage
from llmtwin.retrieval.reranking import word_coverage
from llmtwin.settings import Settings
from llmtwin.sources.dispatcher import domain_of
from llmtwin.sources.page import fetch
from llmtwin.sources.reading import web_article

# Links in the words of a question that are read; whoever wants more names them in the options.
MOST_IN_QUESTION = 2
_THREADS = 16  # they wait for servers, not for processors
_TIMEOUT_SECONDS = 10.0
_MAX_BYTES = 5_000_000
_NEVER_CUT = 0.5


class LinkReader:
    """Reads pages in threads of its own. An async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit_seconds = min(_TIMEOUT_SECONDS, settings.rag_timeout_seconds)
        self._for_pages = settings.model_copy(
            update={
                "crawl_allow_local": False,
                "crawl_allow_private": settings.retrieval_links_private,
                "crawl_browser": "never",
                "crawl_cache_bytes": 0,
                "crawl_pause_seconds": 0.0,
                "crawl_timeout_seconds": min(settings.crawl_timeout_seconds, _TIMEOUT_SECONDS),
                "crawl_max_page_bytes": min(settings.crawl_max_page_bytes, _MAX_BYTES),
            }
        )
        self._workers = ThreadPoolExecutor(_THREADS, "link-reader")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def read(
        self, question: str, named: Sequence[str], mentioned: Sequence[str], notes: list[str]
    ) -> list[Passage]:
        """Return passages of the pages, in the order of the links and of each page.

        What cannot be read is noted. A link that leads where none may lead is an error if the options named it: that
        request cannot be meant. In the words of a question it may be what the question is about.

        Args:
            question: Decides which parts of a long page are taken.
            named: Links in the options.
            mentioned: Links in the question.
            notes: Where to say what could not be read.

        Raises:
            ForbiddenLinkError: A named link leads to a private address, a file, or has another scheme.
        """
        links = list(dict.fromkeys([*named, *mentioned]))
        outcomes = await asyncio.gather(*(self._read(link, question) for link in links), return_exceptions=True)
        passages: list[Passage] = []
        for link, outcome in zip(links, outcomes, strict=True):
            match outcome:
                case ForbiddenLinkError() if link in named:
                    raise outcome
                case ForbiddenLinkError():
                    notes.append(f"a link could not be read: {link} leads to no public page")
                case LlmtwinError():
                    notes.append(f"a link could not be read: {outcome}")
                case TimeoutError():
                    notes.append(f"a link could not be read: {link} took longer than {self._limit_seconds:g} s")
                case BaseException():
                    raise outcome
                case _:
                    passages += outcome
        return passages

    async def _read(self, link: str, question: str) -> list[Passage]:
        async with asyncio.timeout(self._limit_seconds):
            return await asyncio.get_running_loop().run_in_executor(self._workers, self._passages, link, question)

    def _passages(self, link: str, question: str) -> list[Passage]:
        page = fetch(link, self._for_pages, attempts=1)  # nobody waits for a second one
        nobody = User.named(domain_of(link))  # an article needs an author; who it is has nobody said
        handler = handler_for(Kind.ARTICLE, self._settings)
        chunks = handler.chunk(handler.clean(web_article(link, page, nobody), version=0))
        coverage = word_coverage(question, [chunk.content for chunk in chunks])
        kept = choose(coverage, self._settings.retrieval_link_passages)
        return [_passage(chunks[index], coverage[index]) for index in kept]


def links_in(question: str) -> list[str]:
    """Return the web links that a question names, the first `MOST_IN_QUESTION`."""
    return list(dict.fromkeys(match[0] for match in URL.finditer(question) if not match[0].startswith("ftp")))[
        :MOST_IN_QUESTION
    ]


def without_links(question: str) -> str:
    """Return the words of a question; a link says nothing to a search. All of it where there is nothing else."""
    return " ".join(URL.sub(" ", question).split()) or question


def choose(coverage: Sequence[float], limit: int) -> list[int]:
    """Return which chunks of a page to take, in its order: the beginning, and what the question's words are in."""
    if len(coverage) <= limit:
        return list(range(len(coverage)))
    beginning = max(1, int(limit * _NEVER_CUT))
    rest = sorted(range(beginning, len(coverage)), key=lambda index: -coverage[index])
    return sorted([*range(beginning), *rest[: limit - beginning]])


def _passage(chunk: DocumentChunk, score: float) -> Passage:
    return Passage(
        chunk_id=chunk.chunk_id,
        document_id=chunk.document_id,
        kind=chunk.kind,
        title=chunk.title,
        link=chunk.link,
        author=None,
        platform=chunk.platform,
        content=chunk.content,
        score=score,
        position=chunk.position,
        version=chunk.version,
        chunks=(chunk.chunk_id,),
    )
