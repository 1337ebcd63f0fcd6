"""vLLM over HTTP: one pool of connections, and its failures as errors of ours.

aiohttp and not httpx: it takes two thirds of the processor time per streamed chunk, or less (docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from llmtwin.settings import Settings, redacted
from serving.gateway.errors import ApiError

# Whatever ends a connection to vLLM, at any moment.
FAILURES = (aiohttp.ClientError, OSError, TimeoutError)

_CONNECT_SECONDS = 5.0
# vLLM's server closes idle connections after 5 s; one that we would use in that very moment would fail.
_KEEP_ALIVE_SECONDS = 4.0


class Upstream:
    """The vLLM that answers. Use as an asynchronous context manager.

    Args:
        settings: Where it is, and how long it may be silent.
    """

    def __init__(self, settings: Settings) -> None:
        self.url = settings.vllm.rstrip("/")
        self._timeout = settings.gateway_timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Upstream:
        self._session = aiohttp.ClientSession(
            # How many requests run at once is vLLM's to decide: it queues and batches them.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=self._timeout),
            headers={"content-type": "application/json"},
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    @asynccontextmanager
    async def post(self, path: str, body: bytes, request_id: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; yield the answer, which is a success, before its body is read.

        Leaving the block before the body has ended closes the connection, and vLLM stops working on it.

        Raises:
            ApiError: vLLM refused the request (its own status), is down (503) or failed (502).
        """
        response = await self._send("POST", path, body, request_id)
        try:
            if response.status >= 400:
                raise refusal(response.status, await self._read(response))
            yield response
        finally:
            response.close() if not response.content.at_eof() else response.release()

    async def ask(self, path: str, content: dict[str, Any], request_id: str) -> dict[str, Any]:
        """Send a request and return the whole answer.

        Raises:
            ApiError: As `post`.
        """
        async with self.post(path, orjson.dumps(content), request_id) as response:
            return self.parse(await self._read(response))

    async def get(self, path: str) -> dict[str, Any]:
        """Return what vLLM answers to a question about itself; ``{}`` for an empty answer.

        Raises:
            ApiError: vLLM is down (503) or failed (502), or it is something else that answers (502).
        """
        response = await self._send("GET", path, None, "")
        try:
            body = await self._read(response)
        finally:
            response.release()
        if response.status >= 500:
            raise refusal(response.status, body)
        if response.status >= 400:
            # Not the client's fault, who asked for something else.
            raise self.foreign()
        return self.parse(body) if body else {}

    def parse(self, body: bytes) -> dict[str, Any]:
        """Return the answer that a body holds.

        Raises:
            ApiError: It holds something else (502): that is no vLLM.
        """
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise self.foreign()
        return answer

    def foreign(self) -> ApiError:
        """Return the error of a server that does not answer as vLLM does."""
        return ApiError(
            502, f"what answers at {redacted(self.url)} is no vLLM: see LLMTWIN_VLLM_URL", code="model_failed"
        )

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body of an answer.

        Raises:
            ApiError: vLLM broke off (502).
        """
        return await self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await response.read()
        except FAILURES as error:
            raise broken_off(error) from error

    async def _send(self, method: str, path: str, body: bytes | None, request_id: str) -> aiohttp.ClientResponse:
        try:
            return await self._request(method, path, body, request_id)
        except aiohttp.ServerDisconnectedError:
            # An idle connection was closed as we took it, or vLLM restarts: nothing was answered, so ask once more.
            pass
        except FAILURES as error:
            raise self._down(error) from error
        try:
            return await self._request(method, path, body, request_id)
        except FAILURES as error:
            raise self._down(error) from error

    async def _request(self, method: str, path: str, body: bytes | None, request_id: str) -> aiohttp.ClientResponse:
        assert self._session is not None
        headers = {"x-request-id": request_id} if request_id else {}
        return await self._session.request(method, self.url + path, data=body, headers=headers)

    def _down(self, error: Exception) -> ApiError:
        if isinstance(error, asyncio.TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
            return ApiError(504, f"the model did not answer within {self._timeout:.0f} s", code="model_timeout")
        return ApiError(
            503,
            f"the model is not available: vLLM at {redacted(self.url)} does not answer; try again in a moment",
            code="model_unavailable",
            headers={"retry-after": "5"},
        )


def refusal(status: int, body: bytes) -> ApiError:
    """Return vLLM's own error in OpenAI's shape: its message and field, with the code that OpenAI uses for it."""
    try:
        answer = orjson.loads(body)
        error = answer.get("error", answer)
        message, param = str(error["message"]), error.get("param")
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        message, param = body[:500].decode(errors="replace"), None
    if status >= 500:
        unavailable = status == 503
        return ApiError(
            503 if unavailable else 502,
            f"the model failed: {message}",
            code="model_unavailable" if unavailable else "model_failed",
        )
    code = None
    if "maximum context length" in message or "max_model_len" in message:
        code = "context_length_exceeded"
    elif status == 404:
        code = "model_not_found"
    return ApiError(status, message, param=str(param) if param else None, code=code, quotes=True)


def unread(response: aiohttp.ClientResponse) -> bytes:
    """Return what had come of an answer before its connection broke, and was not read yet.

    aiohttp's own methods raise the error from that moment on, and keep what came before it to themselves.
    """
    return response.content._read_nowait(-1)


def broken_off(error: Exception) -> ApiError:
    """Return the error for an answer that ended in the middle."""
    if isinstance(error, TimeoutError):
        return ApiError(504, "the model fell silent in the middle of its answer", code="model_timeout")
    return ApiError(502, "the model broke off in the middle of its answer: it was restarted", code="model_broke_off")
