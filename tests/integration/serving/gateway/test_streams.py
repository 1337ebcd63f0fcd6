"""Streams end well: clients that leave, read slowly or come in crowds, and a vLLM that goes away."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from tests.integration.serving.gateway.conftest import Gateway, Keeping, ScriptedVllm, Serve, scripted_vllm

from llmtwin.local.ports import free_port

QUESTION = [{"role": "user", "content": "What do you think of queues?"}]


def ask(model: str = "base", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": QUESTION, "stream": True} | fields


def events_of(text: str) -> list[Any]:
    """The events of a whole stream; each must be whole."""
    assert text.endswith("\n\n")
    data = [event.removeprefix("data: ") for event in text.split("\n\n")[:-1]]
    return [event if event == "[DONE]" else json.loads(event) for event in data]


@pytest.mark.parametrize("model", ["base", "twin"])
def test_a_client_that_leaves_in_the_middle_stops_the_model(gateway: Gateway, vllm: ScriptedVllm, model: str) -> None:
    vllm.script(tokens=10_000, interval=0.02)
    with gateway.http.stream("POST", "/v1/chat/completions", json=ask(model)) as response:
        next(response.iter_bytes())
    (seen,) = vllm.wait_until(lambda seen: bool(seen) and seen[0]["ended"] is not None)
    assert seen["ended"] == "cancelled"
    assert seen["sent"] < 1000


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_before_the_first_token_stops_the_model(
    gateway: Gateway, vllm: ScriptedVllm, stream: bool
) -> None:
    vllm.script(delay=3600)
    with pytest.raises(httpx.ReadTimeout):
        gateway.http.post("/v1/chat/completions", json=ask(stream=stream), timeout=0.5)
    (seen,) = vllm.wait_until(lambda seen: bool(seen) and seen[0]["ended"] is not None)
    assert seen["ended"] == "cancelled"


@pytest.mark.parametrize("model", ["base", "twin"])
@pytest.mark.parametrize("interval", [0.1, 0.0])  # with 0, it is gone before the first word has been read
def test_a_model_that_dies_in_the_middle_is_an_error_event_and_not_a_cut(
    gateway: Gateway, vllm: ScriptedVllm, model: str, interval: float
) -> None:
    vllm.script(tokens=10, cut_after=3, interval=interval)
    response = gateway.http.post("/v1/chat/completions", json=ask(model))
    *pieces, error, done = events_of(response.text)
    assert [piece["choices"][0]["delta"]["content"] for piece in pieces] == ["word", " word", " word"]
    assert error["error"]["code"] == "model_broke_off"
    assert done == "[DONE]"
    with pytest.raises(openai.APIError, match="broke off"):
        list(gateway.openai().chat.completions.create(model=model, messages=QUESTION, stream=True))


def test_a_whole_answer_that_is_cut_is_an_error(gateway: Gateway, vllm: ScriptedVllm) -> None:
    vllm.script(tokens=10, cut_after=0)
    with pytest.raises(openai.APIError, match="broke off"):
        list(gateway.openai().chat.completions.create(model="base", messages=QUESTION, stream=True))


def test_a_model_that_falls_silent_is_an_error_event(serve: Serve, vllm: ScriptedVllm) -> None:
    vllm.script(silent=True)
    gateway = serve(gateway_timeout_seconds=0.5)
    *_, error, _done = events_of(gateway.http.post("/v1/chat/completions", json=ask()).text)
    assert error["error"]["code"] == "model_timeout"


def test_a_model_server_that_is_down_is_503_and_comes_back(serve: Serve, model_folder: Path) -> None:
    port = free_port()
    gateway = serve(vllm_url=f"http://127.0.0.1:{port}")
    for path, body in (("chat/completions", ask()), ("completions", {"model": "twin", "prompt": "x"})):
        response = gateway.http.post(f"/v1/{path}", json=body)
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "model_unavailable"
        assert int(response.headers["retry-after"]) > 0
    assert gateway.http.get("/ready").status_code == 503
    with scripted_vllm(port, model_folder):
        assert gateway.http.post("/v1/chat/completions", json=ask()).status_code == 200
    # An idle connection to the one that is gone is still in the pool.
    assert gateway.http.post("/v1/chat/completions", json=ask()).status_code == 503
    with scripted_vllm(port, model_folder):
        assert gateway.http.post("/v1/chat/completions", json=ask()).status_code == 200


def test_200_clients_at_once(gateway: Gateway, vllm: ScriptedVllm) -> None:
    vllm.script(tokens=20, interval=0.01)

    async def one(client: httpx.AsyncClient, number: int) -> list[Any]:
        response = await client.post("/v1/chat/completions", json=ask(("base", "twin")[number % 2]))
        assert response.status_code == 200, response.text
        return events_of(response.text)

    async def all_at_once() -> list[list[Any]]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=gateway.url, timeout=120, trust_env=False, limits=limits) as client:
            return await asyncio.gather(*(one(client, number) for number in range(200)))

    answers = asyncio.run(all_at_once())
    assert {len(events) for events in answers} == {22}  # 20 words, the finish reason, the end mark
    assert len({events[0]["id"] for events in answers}) == 200
    assert {entry["ended"] for entry in vllm.seen} == {"done"}


def test_slow_readers_hold_up_nobody_and_get_everything(gateway: Gateway, vllm: ScriptedVllm) -> None:
    vllm.script(tokens=1500, text="x" * 40_000)
    readers = [open_slowly(gateway) for _ in range(3)]
    vllm.wait_until(lambda seen: len(seen) == 3 and all(entry["sent"] > 10 for entry in seen))
    before = time.monotonic()
    while time.monotonic() < before + 1:
        assert gateway.http.get("/health").status_code == 200
    # 60 MB do not fit into the buffers of the sockets: the model was held back, nothing was heaped up in between.
    assert all(entry["ended"] is None for entry in vllm.seen)
    for reader in readers:
        reader.settimeout(60)
        text = bytearray()
        while not text.endswith(b"\r\n0\r\n\r\n"):
            text += reader.recv(1 << 20)
        assert text.count(b"data: {") == 1501
        assert b"data: [DONE]" in text
        reader.close()


def test_a_reader_that_never_reads_is_let_go(serve: Serve, vllm: ScriptedVllm) -> None:
    vllm.script(tokens=1500, text="x" * 40_000)
    gateway = serve(gateway_timeout_seconds=1.0)
    reader = open_slowly(gateway)
    (seen,) = vllm.wait_until(lambda seen: bool(seen) and seen[0]["ended"] is not None)
    assert seen["ended"] == "cancelled"
    reader.close()


def test_a_reader_that_leaves_the_very_end_unread_is_let_go_too(serve: Serve, vllm: ScriptedVllm) -> None:
    sink = Keeping()
    # One event that no buffer holds: nothing but the end is sent after it.
    vllm.script(tokens=1, text="x" * 12_000_000)
    reader = open_slowly(serve(sink=sink, gateway_timeout_seconds=2.0))
    vllm.wait_until(lambda _seen: bool(sink.kept))
    assert (sink.kept[0].status, sink.kept[0].error) == (499, "the client read nothing for 2 s")
    reader.close()


def open_slowly(gateway: Gateway) -> socket.socket:
    """Ask for a stream, and read nothing of it."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", gateway.settings.gateway_port))
    body = json.dumps(ask())
    fields = ("host: localhost", "content-type: application/json", f"content-length: {len(body)}")
    reader.sendall("\r\n".join(("POST /v1/chat/completions HTTP/1.1", *fields, "", body)).encode())
    return reader
