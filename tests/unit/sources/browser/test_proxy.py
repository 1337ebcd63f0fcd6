"""What the proxy makes of a request before it reaches a server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from llmtwin.settings import Settings
from llmtwin.sources.browser.proxy import _origin_form, guarded_proxy


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        (b"http://example.org/a/b?c=http://d/e", b"/a/b?c=http://d/e"),
        (b"http://example.org:8080/", b"/"),
        (b"http://example.org", b"/"),
    ],
)
def test_a_server_gets_the_path_and_no_word_of_the_proxy(asked: bytes, path: bytes) -> None:
    head = (
        b"GET " + asked + b" HTTP/1.1\r\nHost: example.org\r\nProxy-Connection: keep-alive\r\n"
        b"Connection: keep-alive\r\nProxy-Authorization: Basic c2VjcmV0\r\nCookie: a=b\r\n\r\n"
    )
    assert _origin_form(head) == (
        b"GET " + path + b" HTTP/1.1\r\nHost: example.org\r\nCookie: a=b\r\nConnection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    "request_head",
    [
        b"CONNECT 169.254.169.254:80 HTTP/1.1\r\n\r\n",
        b"CONNECT [::ffff:10.0.0.1]:443 HTTP/1.1\r\n\r\n",
        b"CONNECT localhost:22 HTTP/1.1\r\n\r\n",
        b"GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"GET /not-absolute HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"CONNECT nothing:at:all HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
    ],
)
def test_what_may_not_be_reached_gets_no_answer(request_head: bytes, tmp_path: Path) -> None:
    async def ask() -> bytes:
        async with guarded_proxy(Settings(data_dir=tmp_path, crawl_allow_private=False)) as proxy:
            host, _, port = proxy.url.removeprefix("http://").partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request_head)
            answer = await reader.read()
            writer.close()
            return answer

    assert asyncio.run(ask()) == b""


def test_an_encrypted_connection_passes_through_unread(tmp_path: Path) -> None:
    async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline())[::-1])
        await writer.drain()
        writer.close()

    async def ask() -> bytes:
        open_settings = Settings(data_dir=tmp_path, crawl_allow_private=True)
        async with await asyncio.start_server(reverse, "127.0.0.1", 0) as server, guarded_proxy(open_settings) as proxy:
            host, _, port = proxy.url.removeprefix("http://").partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            target = f"localhost:{server.sockets[0].getsockname()[1]}"
            writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
            writer.write(b"\x16\x03\x01 hello\n")
            answer = await reader.read()
            writer.close()
            return answer

    assert asyncio.run(ask()) == b"\nolleh \x01\x03\x16"


def test_a_head_without_end_gets_no_answer(tmp_path: Path) -> None:
    async def ask() -> bytes:
        async with guarded_proxy(Settings(data_dir=tmp_path)) as proxy:
            host, _, port = proxy.url.removeprefix("http://").partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET http://example.org/ HTTP/1.1\r\nCookie: " + b"a" * 1_000_000)
            try:
                return await reader.read()
            except ConnectionResetError:
                return b""

    assert asyncio.run(ask()) == b""
