from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.vllm.guard import ADAPTERS_VARIABLE, OPEN, AdapterGuard


@pytest.fixture
def adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "registry" / "adapters"
    (folder / "1").mkdir(parents=True)
    (tmp_path / "outside" / "1").mkdir(parents=True)
    monkeypatch.setenv(ADAPTERS_VARIABLE, str(folder))
    return folder


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """A server that answers with the body and the headers that reach it."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message.get("more_body"):
            break
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    answer = json.dumps({"headers": headers, "body": body.decode()}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer})


async def ask(method: str, path: str, body: bytes | Iterable[bytes] = b"") -> httpx.Response:
    transport = httpx.ASGITransport(AdapterGuard(echo))
    content = body if isinstance(body, bytes) else as_stream(body)
    async with httpx.AsyncClient(transport=transport) as client:
        return await client.request(method, f"http://vllm{path}", content=content)


async def as_stream(parts: Iterable[bytes]) -> Any:
    for part in parts:
        yield part


def request(method: str, path: str, body: bytes | Iterable[bytes] = b"") -> httpx.Response:
    return asyncio.run(ask(method, path, body))


def load(**wanted: Any) -> httpx.Response:
    return request("POST", "/v1/load_lora_adapter", json.dumps(wanted).encode())


@pytest.mark.parametrize(("method", "path"), sorted(OPEN))
def test_what_the_gateway_uses_passes_as_it_is(adapters: Path, method: str, path: str) -> None:
    assert request(method, f"{path}?a=1", b'{"model": "base"}').json()["body"] == '{"model": "base"}'


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/adapters"),  # SageMaker's way to load one
        ("DELETE", "/adapters/twin@1"),
        ("POST", "/invocations"),
        ("POST", "/v1/unload_lora_adapter"),
        ("POST", "/v1/load_lora_adapter/"),
        ("POST", "//v1/load_lora_adapter"),
        ("GET", "/v1/load_lora_adapter"),
        ("POST", "/scale_elastic_ep"),
        ("GET", "/openapi.json"),
        ("POST", "/v1/models"),
    ],
)
def test_every_other_door_is_closed(adapters: Path, method: str, path: str) -> None:
    answer = request(method, path, json.dumps({"name": "x", "src": str(adapters / "1")}).encode())
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == f"{method} {path} is not offered here"


def test_a_version_of_the_registry_passes_with_a_body_of_the_guards_own(adapters: Path) -> None:
    wanted = {"lora_name": "twin@1", "lora_path": f"{adapters}/./1/", "load_inplace": True}
    body = json.dumps(wanted).encode()
    for sent in (body, [body[:10], body[10:]]):
        seen = request("POST", "/v1/load_lora_adapter", sent).json()
        assert json.loads(seen["body"]) == wanted | {"lora_path": str(adapters / "1")}
        assert seen["headers"]["content-length"] == str(len(seen["body"]))
        assert seen["headers"]["content-type"] == "application/json"


@pytest.mark.parametrize(
    "path", ["{top}/outside/1", "{adapters}", "{adapters}/../../outside/1", "{adapters}/1/x", "1", "", "/"]
)
def test_a_path_outside_the_registry_is_refused(adapters: Path, path: str) -> None:
    wanted = path.format(top=adapters.parents[1], adapters=adapters)
    answer = load(lora_name="twin@1", lora_path=wanted)
    assert answer.status_code == 403
    assert "registry" in answer.json()["error"]["message"]


def test_a_link_that_leads_out_of_the_registry_is_refused(adapters: Path) -> None:
    (adapters / "2").symlink_to(adapters.parents[1] / "outside" / "1")
    assert load(lora_name="twin@2", lora_path=str(adapters / "2")).status_code == 403


@pytest.mark.parametrize("name", ["base", "twin", "twin@2", "gpt", ""])
def test_a_version_is_loaded_under_its_own_name_only(adapters: Path, name: str) -> None:
    answer = load(lora_name=name, lora_path=str(adapters / "1"))
    assert answer.status_code == 403
    assert "twin@1" in answer.json()["error"]["message"]


def test_a_version_that_is_not_there_is_not_found(adapters: Path) -> None:
    answer = load(lora_name="twin@9", lora_path=str(adapters / "9"))
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "the registry has no version 9"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 10_000,
        b'{"lora_name": 1, "lora_path": "/x"}',
        b'{"lora_name": "twin@1", "lora_path": "/x", "load_inplace": "yes"}',
        b'{"lora_name": "twin@1", "lora_path": "/x", "is_3d_lora_weight": true}',
        b'{"lora_name": "twin@1", "lora_path": "/x\\u0000"}',
        b'{"lora_name": "twin@1", "lora_path": null}',
        b"\xff\xfe",
    ],
)
def test_a_body_of_another_shape_is_refused(adapters: Path, body: bytes) -> None:
    assert request("POST", "/v1/load_lora_adapter", body).status_code == 400


def test_a_large_body_is_refused_before_it_is_read_whole(adapters: Path) -> None:
    read = []

    def endless() -> Iterable[bytes]:
        for number in range(1000):
            read.append(number)
            yield b" " * 1024

    assert request("POST", "/v1/load_lora_adapter", endless()).status_code == 413


def test_of_two_paths_in_one_body_none_slips_through(adapters: Path) -> None:
    body = f'{{"lora_name": "twin@1", "lora_path": "/etc", "lora_path": "{adapters}/1"}}'.encode()
    seen = json.loads(request("POST", "/v1/load_lora_adapter", body).json()["body"])
    assert seen["lora_path"] == str(adapters / "1")
