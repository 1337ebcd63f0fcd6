"""``/v1/chat/completions`` and ``/v1/completions``."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import aiohttp
import orjson
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from llmtwin.errors import RegistryError
from llmtwin.retrieval import Options
from llmtwin.settings import Settings
from serving.gateway.errors import ApiError, invalid
from serving.gateway.events import CitedEvents, Events
from serving.gateway.grounding import Grounding, citation
from serving.gateway.metrics import Metrics
from serving.gateway.models import Models, Served
from serving.gateway.prompt import Room, compose, question_of
from serving.gateway.relay import Relay, while_connected
from serving.gateway.schemas import ChatRequest, CitedAnswer, CompletionRequest, ErrorAnswer
from serving.gateway.trace import Trace, TraceSink
from serving.gateway.upstream import Upstream

log = structlog.get_logger(__name__)

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer} for status in (400, 401, 403, 404, 413, 415, 429, 502, 503, 504)
}

TRACE_HEADER = "x-llmtwin-trace-id"

router = APIRouter(prefix="/v1", responses=ERRORS)


@router.post("/chat/completions", response_model=CitedAnswer)
async def chat_completions(request: Request, body: ChatRequest) -> Response:
    """Go on with a chat, in the author's voice and with passages of what they published."""
    answering: Answering = request.app.state.answering
    content = await _read(request)
    trace = _trace(request, body.model)
    return await while_connected(request, answering.chat(content, trace))


@router.post("/completions", response_model=CitedAnswer)
async def completions(request: Request, body: CompletionRequest) -> Response:
    """Go on with a text."""
    answering: Answering = request.app.state.answering
    content = await _read(request)
    trace = _trace(request, body.model)
    return await while_connected(request, answering.complete(content, trace))


@dataclass(frozen=True)
class Answering:
    """All that answering takes."""

    settings: Settings
    upstream: Upstream
    models: Models
    grounding: Grounding
    metrics: Metrics
    sink: TraceSink

    async def chat(self, content: dict[str, Any], trace: Trace) -> Response:
        """Answer a chat request.

        Args:
            content: The request as it came, known to fit the schema; what the gateway does not read goes to vLLM
                untouched.
            trace: Told what happens.

        Raises:
            ApiError: Something went wrong before the answer began.
        """
        async with _Told(self, trace):
            rag = content.get("rag")
            served = await self._prepare(content, trace)
            fields: dict[str, Any] | None = None
            if served.is_twin if rag is None else rag is not False:
                options = Options.of(self.settings, rag if isinstance(rag, dict) else None)
                fields = await self._ground(content, options, trace)
            trace.prompt = content["messages"]
            return await self._answer("/v1/chat/completions", content, fields, trace)

    async def complete(self, content: dict[str, Any], trace: Trace) -> Response:
        """Answer a completion request; as `chat`."""
        async with _Told(self, trace):
            await self._prepare(content, trace)
            trace.prompt = content["prompt"]
            return await self._answer("/v1/completions", content, None, trace)

    async def finish(self, trace: Trace, sent: list[bytes]) -> None:
        """Count a request that has ended and hand on its trace.

        Args:
            trace: What is known of it.
            sent: The stream that the client was sent, if the trace is wanted.
        """
        trace.steps["total"] = trace.elapsed()
        if first := trace.steps.get("first_token"):
            self.metrics.first_token.labels(trace.served).observe(first)
        if sent:
            trace.read_events(sent)
        if self.settings.gateway_log_prompts:
            log.info("prompt", request_id=trace.trace_id, prompt=trace.prompt, answer=trace.answer)
        if self.sink.wants(trace):
            await self.sink.record(trace)

    async def _prepare(self, content: dict[str, Any], trace: Trace) -> Served:
        served = await self.models.resolve(content["model"])
        content.pop("rag", None)
        content["model"] = trace.served = served.name
        trace.parameters = {name: value for name, value in content.items() if name not in ("messages", "prompt")}
        return served

    async def _ground(self, content: dict[str, Any], options: Options, trace: Trace) -> dict[str, Any]:
        """Put passages into the request's messages; return the fields that the answer gets."""
        _require_text(content["messages"])
        room = Room.of(content, (await self.models.base())["max_model_len"], self.settings.rag_answer_tokens)
        tokenizer = await self.models.tokenizer()
        passages, notes = [], []
        if (question := question_of(content["messages"])) and question.strip():
            trace.question = question
            found = await self.grounding.find(question, options, trace.trace_id)
            passages, notes = found.passages, list(found.notes)
            trace.steps |= found.steps
            if not passages:
                self.metrics.without_passages.inc()
        began = perf_counter()
        prompt = await asyncio.to_thread(compose, content, passages, self.settings.twin_author, tokenizer, room)
        trace.steps["prompt"] = perf_counter() - began
        for step, seconds in trace.steps.items():
            self.metrics.steps.labels(step).observe(seconds)
        self.metrics.passages.inc(len(prompt.passages))
        if left := len(passages) - len(prompt.passages):
            notes.append(f"{left} passages did not fit into the model's window")
        if prompt.dropped_turns:
            notes.append(f"the {prompt.dropped_turns} oldest turns did not fit into the model's window")
        content["messages"] = prompt.messages
        citations = [citation(number, passage) for number, passage in enumerate(prompt.passages, 1)]
        trace.notes = notes
        trace.passages = [
            {"chunk_id": str(passage.chunk_id), "link": passage.link, "score": passage.score}
            for passage in prompt.passages
        ]
        return {"citations": citations, "rag": {"notes": notes}}

    async def _answer(
        self, path: str, content: dict[str, Any], fields: dict[str, Any] | None, trace: Trace
    ) -> Response:
        async with AsyncExitStack() as holding:
            try:
                upstream = await holding.enter_async_context(self._post(path, content, trace))
            except ApiError as error:
                if error.status != 404:
                    raise
                # vLLM was restarted: it has lost the adapter, which resolving loads again, or has another model.
                self.models.forget()
                content["model"] = trace.served = (await self.models.resolve(trace.model)).name
                upstream = await holding.enter_async_context(self._post(path, content, trace))
            if upstream.content_type == "text/event-stream":
                events = CitedEvents(fields) if fields is not None else Events()
                copy = self.settings.gateway_log_prompts or self.sink.wants(trace)

                async def ended(sent: list[bytes]) -> None:
                    await self.finish(trace, sent)

                seconds = self.settings.gateway_timeout_seconds
                relay = Relay(upstream, holding.pop_all(), events, seconds, trace, copy, ended)
                return self._traceable(relay, trace)
            answer = await self.upstream.read(upstream)
            trace.first_token()
        if fields is not None:
            answer = orjson.dumps(self.upstream.parse(answer) | fields)
        if self.settings.gateway_log_prompts or self.sink.wants(trace):
            trace.read_answer(self.upstream.parse(answer))
        await self.finish(trace, [])
        return self._traceable(Response(answer, media_type="application/json"), trace)

    def _post(
        self, path: str, content: dict[str, Any], trace: Trace
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self.upstream.post(path, orjson.dumps(content), trace.trace_id)

    def _traceable(self, response: Response, trace: Trace) -> Response:
        """Name the trace of an answer, if it is kept, so that feedback can be given on it."""
        if self.sink.wants(trace):
            response.headers[TRACE_HEADER] = trace.trace_id
        return response


class _Told:
    """A block whose failure the trace is told of."""

    def __init__(self, answering: Answering, trace: Trace) -> None:
        self._answering = answering
        self._trace = trace

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            return
        match error:
            case ApiError():
                self._trace.status, self._trace.error = error.status, error.message
                self._trace.error_quotes = error.quotes
            case asyncio.CancelledError():
                self._trace.status, self._trace.error = 499, "the client left"
            case RegistryError():
                self._trace.status, self._trace.error = 503, "the registry cannot be read"
            case _:
                self._trace.status, self._trace.error = 500, f"the gateway made a mistake: {type(error).__name__}"
        await self._answering.finish(self._trace, [])


async def _read(request: Request) -> dict[str, Any]:
    try:
        content: dict[str, Any] = orjson.loads(await request.body())
        orjson.dumps(content)  # writes less deep than it reads, and half a prompt later would be late to say so
    except orjson.JSONDecodeError as error:
        raise invalid(f"the body is no JSON: {error}") from error
    except orjson.JSONEncodeError as error:
        raise invalid(f"the body cannot be passed on to the model: {error}") from error
    return content


def _trace(request: Request, model: str) -> Trace:
    return Trace(request.state.request_id, request.url.path, key=request.state.key, model=model)


def _require_text(messages: list[dict[str, Any]]) -> None:
    """Refuse images and sound, which neither search nor prompt can take; with ``"rag": false`` vLLM decides."""
    for number, message in enumerate(messages):
        parts = message.get("content")
        for part in parts if isinstance(parts, list) else ():
            if part.get("type") != "text" or not isinstance(part.get("text"), str):
                raise invalid(
                    f"a part of type {part.get('type')!r} cannot be answered with retrieval, which reads text only: "
                    'leave it out, or send "rag": false to a model that can take it',
                    f"messages.{number}.content",
                    "unsupported_content",
                )
