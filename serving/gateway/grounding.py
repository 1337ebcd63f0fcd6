"""From a question to passages, whatever fails on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from llmtwin.errors import EmbeddingError, ForbiddenLinkError, VectorStoreError, VllmError
from llmtwin.retrieval import Options, Passage, Retrieval, Retrieved
from llmtwin.settings import Settings
from serving.gateway.errors import ApiError, invalid
from serving.gateway.models import Models
from serving.gateway.upstream import Upstream

log = structlog.get_logger(__name__)

# Rephrasings and filters are short.
_LLM_TOKENS = 256


class Grounding:
    """Looks passages up for questions.

    Args:
        settings: How long that may take, and what to do while Qdrant is down.
        retrieval: What finds them.
        upstream: The vLLM, for the techniques that ask a model.
        models: Which of its models that is.
    """

    def __init__(self, settings: Settings, retrieval: Retrieval, upstream: Upstream, models: Models) -> None:
        self._seconds = settings.rag_timeout_seconds
        self._refuse = settings.rag_when_unavailable == "refuse"
        self._retrieval = retrieval
        self._upstream = upstream
        self._models = models

    async def find(self, question: str, options: Options, request_id: str) -> Retrieved:
        """Return passages for a question, the best first.

        Where nothing can be looked up, there are none and a note says why; or the request fails, by setting.

        Raises:
            ApiError: A link leads where it may not (400), or the feature store is down (503).
        """

        async def complete(messages: list[dict[str, str]], schema: dict[str, Any] | None) -> str:
            request: dict[str, Any] = {"messages": messages, "max_tokens": _LLM_TOKENS, "temperature": 0}
            if schema is not None:
                request["response_format"] = {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": schema, "strict": True},
                }
            try:
                request["model"] = (await self._models.base())["id"]
                answer = await self._upstream.ask("/v1/chat/completions", request, f"{request_id}-retrieval")
            except ApiError as error:
                raise VllmError(error.message) from error
            return answer["choices"][0]["message"]["content"] or ""

        try:
            async with asyncio.timeout(self._seconds):
                return await self._retrieval.retrieve(question, options, complete)
        except ForbiddenLinkError as error:
            # The reason names what this machine's name service says of a host, which is nobody else's business.
            log.warning("a link is refused", request_id=request_id, reason=str(error))
            raise invalid(
                f"{error.link!r} is not read: it must lead to a public page, by https or http and without a password",
                "rag.links",
                "forbidden_link",
            ) from error
        except (VectorStoreError, EmbeddingError) as error:
            log.error("no passages", request_id=request_id, reason=str(error))
            return self._nothing("the feature store cannot be searched now")
        except TimeoutError:
            log.error("no passages", request_id=request_id, reason="timeout", seconds=self._seconds)
            return self._nothing(f"the feature store was not searched within {self._seconds:.0f} s")

    def _nothing(self, why: str) -> Retrieved:
        if self._refuse:
            raise ApiError(503, f"{why}: try again in a moment", code="retrieval_unavailable")
        return Retrieved(passages=[], steps={}, notes=[f"{why}: this answer was written without passages"])


def citation(number: int, passage: Passage) -> dict[str, Any]:
    """Return what a client is told of a passage."""
    cited: dict[str, Any] = {
        "index": number,
        "title": passage.title,
        "link": passage.link,
        "author": passage.author,
        "kind": str(passage.kind),
        "score": round(passage.score, 6),
        "content": passage.content,
    }
    if passage.path:
        cited |= {"path": passage.path, "lines": [passage.start_line, passage.end_line]}
    return cited
