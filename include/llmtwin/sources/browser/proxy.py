"""The proxy between a browser and the network: it connects to judged addresses only.

The browser is told to ask this proxy for everything and to resolve no name itself, so whatever a page makes it request
(redirects, frames, scripts, images, WebSockets) is resolved once, judged, and connected to the address that was judged:
neither a redirect nor a name that changes its address (DNS rebinding) leads anywhere else. Encrypted connections pass
through unread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from llmtwin.errors import SourceError, UnreachableError
from llmtwin.settings import Settings
from llmtwin.sources import guard

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_LONGEST_HEAD_BYTES = 256 * 1024  # cookies included
_CHUNK_BYTES = 64 * 1024
# Between client and proxy only (RFC 9110, section 7.6.1); each connection to a server carries one request.
_HOP_BY_HOP = (b"proxy-connection:", b"proxy-authorization:", b"connection:", b"keep-alive:")


@dataclass
class GuardedProxy:
    """A running proxy."""

    settings: Settings
    url: str = ""
    failures: dict[tuple[str, int], SourceError] = field(default_factory=dict)
    """Why the last connection to this host and port failed, or was refused."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry out one request of the browser; without an answer when it is refused or fails."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b" ", 2)
            if method == b"CONNECT":
                url = urlsplit(f"//{target.decode('ascii')}")
                server = await self._connect(url.hostname or "", url.port or 443)
                async with _closing(server):
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await _both(_copy(reader, server[1]), _copy(server[0], writer))
            else:
                url = urlsplit(target.decode("ascii"))
                server = await self._connect(url.hostname or "", url.port or 80)
                async with _closing(server):
                    server[1].write(_origin_form(head))
                    await _both(_copy_body(reader, server[1], head), _copy(server[0], writer))
        except (SourceError, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # closing the connection is the answer; `failures` has the reason for whoever asks
        finally:
            writer.close()

    async def _connect(self, host: str, port: int) -> _Streams:
        """Connect to the first judged address of a host that answers.

        Raises:
            ForbiddenLinkError: The host has an address that may not be reached.
            UnreachableError: It has none, or none answers.
        """
        link = f"{host}:{port}"
        self.failures.pop((host, port), None)
        try:
            for address in await asyncio.to_thread(guard.resolve, link, host, port, self.settings):
                with suppress(OSError):  # TimeoutError is one
                    async with asyncio.timeout(self.settings.crawl_timeout_seconds):
                        return await asyncio.open_connection(address, port, limit=_CHUNK_BYTES)
            raise UnreachableError(link, "the connection failed")
        except SourceError as error:
            self.failures[host, port] = error
            raise


@asynccontextmanager
async def guarded_proxy(settings: Settings) -> AsyncIterator[GuardedProxy]:
    """Run a proxy on a free port of the loopback interface."""
    proxy = GuardedProxy(settings)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(proxy.serve(reader, writer))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    async with await asyncio.start_server(accept, "127.0.0.1", 0, limit=_LONGEST_HEAD_BYTES) as server:
        proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield proxy
        finally:
            for connection in connections:
                connection.cancel()
            await asyncio.gather(*connections, return_exceptions=True)


def _origin_form(head: bytes) -> bytes:
    """Return the head of a request as the server itself wants it, and as its connection's last (RFC 9112, 3.2)."""
    request_line, *headers = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, version = request_line.split(b" ", 2)
    _, _, path = target.partition(b"://")[2].partition(b"/")
    kept = [header for header in headers if not header.lower().startswith(_HOP_BY_HOP)]
    return b"\r\n".join([b" ".join([method, b"/" + path, version]), *kept, b"Connection: close", b"", b""])


async def _copy_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
    """Pass the body of one request on; end when the browser has more to say, which may be meant for another server."""
    headers = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    left = next((int(value) for name, _, value in headers if name.lower() == b"content-length"), 0)
    while left > 0 and (chunk := await reader.read(min(left, _CHUNK_BYTES))):
        writer.write(chunk)
        await writer.drain()
        left -= len(chunk)
    await reader.read(1)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()


async def _both(*directions: Awaitable[None]) -> None:
    """Copy in both directions until one ends."""
    tasks = [asyncio.ensure_future(direction) for direction in directions]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _closing(streams: _Streams) -> AsyncIterator[None]:
    try:
        yield
    finally:
        streams[1].close()
