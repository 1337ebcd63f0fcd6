"""``/health``, ``/ready``, ``/metrics`` and ``/v1/models``: what the gateway says of itself."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from llmtwin.settings import Settings, redacted
from serving.gateway.completions import ERRORS, Answering
from serving.gateway.embeddings import Embedding
from serving.gateway.errors import ApiError
from serving.gateway.upstream import FAILURES

router = APIRouter()

_PROBE_SECONDS = 3.0


@router.get("/health")
async def health() -> dict[str, str]:
    """Tell that the process serves."""
    return {"status": "ok"}


@router.get("/ready", responses={503: {"description": "something is missing; `checks` says what"}})
async def ready(request: Request) -> JSONResponse:
    """Tell whether a question can be answered: Qdrant and vLLM answer, and a model is loaded."""
    answering: Answering = request.app.state.answering
    qdrant, vllm = await asyncio.gather(_qdrant(answering.settings), _vllm(answering))
    is_ready = qdrant == vllm == "ok"
    content = {"status": "ready" if is_ready else "not ready", "checks": {"qdrant": qdrant, "vllm": vllm}}
    return JSONResponse(content, 200 if is_ready else 503)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Return figures for Prometheus."""
    answering: Answering = request.app.state.answering
    return Response(generate_latest(answering.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models", responses=ERRORS)
async def models(request: Request) -> dict[str, Any]:
    """List the models; `root` of `twin` names what stands behind it now."""
    return {"object": "list", "data": _listing(request)}


@router.get("/v1/models/{model:path}", responses=ERRORS)
async def model(request: Request, model: str) -> dict[str, Any]:
    """Return one model of the list."""
    for card in _listing(request):
        if card["id"] == model:
            return card
    raise ApiError(404, f"there is no model {model!r}", code="model_not_found", param="model")


def _listing(request: Request) -> list[dict[str, Any]]:
    answering: Answering = request.app.state.answering
    embedding: Embedding = request.app.state.embedding
    return [*answering.models.listing(), {"id": embedding.name, "object": "model", "created": 0, "owned_by": "llmtwin"}]


async def _qdrant(settings: Settings) -> str:
    headers = {"api-key": settings.qdrant_api_key} if settings.qdrant_api_key else {}
    timeout = aiohttp.ClientTimeout(total=_PROBE_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{settings.qdrant.rstrip('/')}/readyz", headers=headers) as response,
        ):
            return "ok" if response.ok else f"Qdrant at {redacted(settings.qdrant)} answers HTTP {response.status}"
    except FAILURES:
        return f"Qdrant at {redacted(settings.qdrant)} does not answer"


async def _vllm(answering: Answering) -> str:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await answering.upstream.get("/health")
            await answering.models.refresh()
            await answering.models.base()
    except ApiError as error:
        return error.message
    except TimeoutError:
        return "vLLM does not answer"
    return "ok"
