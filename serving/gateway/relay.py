"""Answers of vLLM handed to the client, for as long as the client is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import aiohttp
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from serving.gateway.errors import ApiError, ClientGoneError
from serving.gateway.events import Events
from serving.gateway.trace import Trace
from serving.gateway.upstream import FAILURES, broken_off, unread

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


async def while_connected(request: Request, work: Awaitable[Result]) -> Result:
    """Return what the work comes to; cancel it when the client leaves. The request's body has been read before.

    Raises:
        ClientGoneError: The client has left.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_departure(request.receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return await working
        raise ClientGoneError
    finally:
        await _cancel(working, watching)


class Relay(Response):
    """A stream of vLLM's, sent on as it comes.

    Takes no more from vLLM than the client reads. When the client leaves, the connection to vLLM is closed, which stops
    the work there. When vLLM breaks off, the client is told so by an error event.

    Args:
        upstream: The answer, its body not read yet.
        holding: Closes it.
        events: What the client is to see of it.
        stall_seconds: How long a client may read nothing.
        trace: Told when the answer begins and how it ends.
        copy: Whether to keep what was sent, in ``sent``, for the trace.
        ended: Called once when all is over.
    """

    def __init__(
        self,
        upstream: aiohttp.ClientResponse,
        holding: AsyncExitStack,
        events: Events,
        stall_seconds: float,
        trace: Trace,
        copy: bool,
        ended: Callable[[list[bytes]], Awaitable[None]],
    ) -> None:
        super().__init__(media_type="text/event-stream", headers=_HEADERS)
        del self.headers["content-length"]
        self._upstream = upstream
        self._holding = holding
        self._events = events
        self._stall_seconds = stall_seconds
        self._trace = trace
        self._sent: list[bytes] | None = [] if copy else None
        self._ended = ended
        self._sending_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; return when all is sent or the client is gone."""
        pumping = asyncio.ensure_future(self._pump(send))
        watching = asyncio.ensure_future(_departure(receive))
        stalling = asyncio.ensure_future(self._stall())
        try:
            await asyncio.wait({pumping, watching, stalling}, return_when=asyncio.FIRST_COMPLETED)
            if pumping.done():
                await pumping
            elif stalling.done():
                self._left(f"the client read nothing for {self._stall_seconds:.0f} s")
            else:
                self._left("the client left")
        finally:
            await _cancel(pumping, watching, stalling)
            await self._holding.aclose()
            await self._ended(self._sent or [])

    async def _pump(self, send: Send) -> None:
        await self._hand(send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for data in self._upstream.content.iter_any():
                if whole := self._events.feed(data):
                    self._trace.first_token()
                    await self._send(send, whole)
            broken = None if self._events.done else broken_off(aiohttp.ClientPayloadError())
        except FAILURES as error:
            broken = broken_off(error)
        if broken:
            await self._break_off(send, broken)
        await self._hand(send, {"type": "http.response.body", "body": b""})

    async def _stall(self) -> None:
        """Return once the client has read nothing for too long.

        One timer for a stream: one for each chunk would take a fifth of the gateway's processor time.
        """
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            left = (self._sending_since or now) + self._stall_seconds - now
            if left <= 0:
                return
            await asyncio.sleep(left)

    async def _break_off(self, send: Send, broken: ApiError) -> None:
        """Send what had come until then, and the error."""
        whole = self._events.feed(unread(self._upstream))
        if self._events.done:
            await self._send(send, whole)
            return
        self._trace.status, self._trace.error = broken.status, broken.message
        log.warning("vLLM broke off", request_id=self._trace.trace_id, reason=broken.code)
        await self._send(send, whole + self._events.break_off(broken))

    async def _send(self, send: Send, data: bytes) -> None:
        if self._sent is not None:
            self._sent.append(data)
        await self._hand(send, {"type": "http.response.body", "body": data, "more_body": True})

    async def _hand(self, send: Send, message: Message) -> None:
        self._sending_since = asyncio.get_running_loop().time()
        await send(message)
        self._sending_since = None

    def _left(self, why: str) -> None:
        self._trace.status, self._trace.error = 499, why


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        # Looked at, so that asyncio does not complain of an error that nobody was told: the client has left.
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, ApiError):
            log.debug("a request that nobody waits for failed", error=str(error))
