"""HTTP: routes, API key, limits, Qdrant's response and error shape, and the one thread that does all the work."""

from __future__ import annotations

import asyncio
import hmac
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, TypeVar

import orjson
import structlog
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from llmtwin.local.qdrant import handlers
from llmtwin.local.qdrant.collection import Collection
from llmtwin.local.qdrant.errors import RequestError
from llmtwin.local.qdrant.handlers import Call, Handler
from llmtwin.local.qdrant.storage import Storage

API_VERSION = "1.20.0"  # the Qdrant whose REST API this is; the client compares it with its own
MAX_BODY_BYTES = 32 * 1024 * 1024  # Qdrant's default: what is too large there is too large here
MAINTENANCE_SECONDS = 1.0

Result = TypeVar("Result")

log = structlog.get_logger(__name__)

_COLLECTION = "/collections/{collection}"
_POINTS = f"{_COLLECTION}/points"
_ENDPOINTS: list[tuple[str, str, Handler]] = [
    ("GET", "/collections", handlers.list_collections),
    ("GET", "/aliases", handlers.list_aliases),
    ("POST", "/collections/aliases", handlers.change_aliases),
    ("GET", _COLLECTION, handlers.get_collection),
    ("PUT", _COLLECTION, handlers.create_collection),
    ("DELETE", _COLLECTION, handlers.delete_collection),
    ("GET", f"{_COLLECTION}/exists", handlers.collection_exists),
    ("GET", f"{_COLLECTION}/aliases", handlers.list_collection_aliases),
    ("PUT", f"{_COLLECTION}/index", handlers.create_index),
    ("DELETE", f"{_COLLECTION}/index/{{field:path}}", handlers.delete_index),
    ("PUT", _POINTS, handlers.updater("upsert")),
    ("POST", _POINTS, handlers.get_points),
    ("POST", f"{_POINTS}/delete", handlers.updater("delete")),
    ("POST", f"{_POINTS}/payload", handlers.updater("set_payload")),
    ("PUT", f"{_POINTS}/payload", handlers.updater("overwrite_payload")),
    ("POST", f"{_POINTS}/payload/delete", handlers.updater("delete_payload")),
    ("POST", f"{_POINTS}/payload/clear", handlers.updater("clear_payload")),
    ("PUT", f"{_POINTS}/vectors", handlers.updater("update_vectors")),
    ("POST", f"{_POINTS}/vectors/delete", handlers.updater("delete_vectors")),
    ("POST", f"{_POINTS}/batch", handlers.update_batch),
    ("POST", f"{_POINTS}/scroll", handlers.scroll),
    ("POST", f"{_POINTS}/count", handlers.count),
    ("POST", f"{_POINTS}/query", handlers.query),
    ("POST", f"{_POINTS}/query/batch", handlers.query_batch),
    ("GET", f"{_POINTS}/{{point}}", handlers.get_point),
    ("POST", f"{_COLLECTION}/facet", handlers.facet),
]


def make_app(storage: Storage, *, api_key: str | None = None, only_from: frozenset[str] | None = None) -> Starlette:
    """Return the ASGI app over an open storage; the caller closes the storage once the app has shut down.

    Args:
        storage: Where everything is.
        api_key: What clients must send; None lets everyone in.
        only_from: The host names that requests may be addressed to; None for any. A server that listens on this
            machine only should name them, or a web page can reach it under a name that it makes point here.
    """
    worker = ThreadPoolExecutor(1, "engine")

    def endpoint(handler: Handler) -> Callable[[Request], Any]:
        async def serve(request: Request) -> Response:
            started = perf_counter()
            _check_host(request, only_from)
            _check_key(request, api_key)
            body = await _read_body(request)
            path, query = dict(request.path_params), dict(request.query_params)
            answer = await _on(worker, lambda: _answer(handler, storage, path, query, body, started))
            return Response(answer, media_type="application/json")

        return serve

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        maintenance = asyncio.create_task(_maintain(storage, worker))
        yield
        maintenance.cancel()
        await asyncio.wait([maintenance])
        worker.shutdown()

    routes = [Route(path, endpoint(handler), methods=[method]) for method, path, handler in _ENDPOINTS]
    return Starlette(
        routes=[Route("/", _version), *(Route(f"/{name}z", _healthy) for name in ("health", "ready", "live")), *routes],
        lifespan=lifespan,
        # The last one is for our own mistakes: the client gets Qdrant's shape, uvicorn logs the traceback.
        exception_handlers=dict.fromkeys((RequestError, ValidationError, HTTPException, Exception), _refuse),
    )


def _answer(
    handler: Handler, storage: Storage, path: dict[str, str], query: dict[str, str], body: bytes, started: float
) -> bytes:
    try:
        parsed = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"Format error in JSON body: {error}") from error
    result = handler(storage, Call(path, query, parsed))
    return orjson.dumps({"result": result, "status": "ok", "time": perf_counter() - started})


async def _on(worker: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(worker, work)


def _check_host(request: Request, only_from: frozenset[str] | None) -> None:
    if only_from is not None and request.url.hostname not in only_from:
        raise RequestError(403, f"this server answers only to {', '.join(sorted(only_from))}")


def _check_key(request: Request, api_key: str | None) -> None:
    if api_key is None:
        return
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    given = request.headers.get("api-key", bearer)
    if not hmac.compare_digest(given.encode(), api_key.encode()):
        raise RequestError(401, "Must provide an API key or an Authorization bearer token")


async def _read_body(request: Request) -> bytes:
    """Return the body, which must be JSON: a web page of elsewhere can only send other types without asking first."""
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise RequestError(413, f"Payload too large: the limit is {MAX_BODY_BYTES} bytes, send smaller batches")
    if size and not request.headers.get("content-type", "").startswith("application/json"):
        raise RequestError(415, "Content type error: send application/json")
    return b"".join(chunks)


async def _version(_request: Request) -> Response:
    return JSONResponse({"title": "qdrant - vector search engine", "version": API_VERSION})


async def _healthy(request: Request) -> Response:
    return PlainTextResponse(f"{request.url.path.strip('/')} check passed")


async def _refuse(_request: Request, error: Exception) -> Response:
    match error:
        case RequestError():
            status, reason = error.status, str(error)
        case ValidationError():
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            status, reason = 400, f"Format error in JSON body: {where}: {first['msg']}"
        case _:
            status, reason = getattr(error, "status_code", 500), getattr(error, "detail", str(error))
    return JSONResponse({"status": {"error": reason}, "time": 0.0}, status_code=status)


async def _maintain(storage: Storage, worker: ThreadPoolExecutor) -> None:
    """Flush what nobody waits for, and build indexes in the background, until cancelled."""
    while True:
        await asyncio.sleep(MAINTENANCE_SECONDS)
        try:
            await _on(worker, storage.flush)
            for collection in list(storage.collections.values()):
                if await _on(worker, collection.needs_optimizing):
                    await _optimize(collection, worker)
        except (RequestError, OSError):
            log.exception("maintenance failed and will be tried again; is the disk full?")


async def _optimize(collection: Collection, worker: ThreadPoolExecutor) -> None:
    started = perf_counter()
    copy = await _on(worker, collection.start_optimizing)
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "llmtwin.local.qdrant.optimize", str(copy))
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        await _on(worker, lambda: collection.finish_optimizing(succeeded=False))
        raise
    await _on(worker, lambda: collection.finish_optimizing(succeeded=status == 0))
    log.info("optimized", collection=collection.name, seconds=round(perf_counter() - started, 1), status=status)
