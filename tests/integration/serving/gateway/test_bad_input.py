"""Whatever is sent, the answer is OpenAI's error."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.serving.gateway.conftest import Gateway, ScriptedVllm, Serve
from tests.integration.sources.conftest import WebServer, web

__all__ = ["web"]

QUESTION = [{"role": "user", "content": "What do you think of queues?"}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def require_error(response: Any, status: int, code: str | None) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["code"] == code
    return error


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"model": NaN}', b"[" * 20_000, b'{"model": "\\ud800"}'],
)
@pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings"])
def test_malformed_json(gateway: Gateway, path: str, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    require_error(gateway.http.post(f"/v1/{path}", content=body, headers=headers), 400, None)


@pytest.mark.parametrize("model", ["base", "twin"])
@pytest.mark.parametrize("depth", [254, 600, 100_000])  # what orjson writes, what it reads, what nobody does
def test_json_that_is_nested_deeply(gateway: Gateway, vllm: ScriptedVllm, depth: int, model: str) -> None:
    nested = b"[" * depth + b"]" * depth
    for fields in (
        b'"metadata": %b',
        b'"tools": [{"x": %b}]',
        b'"messages": [{"role": "user", "content": "x", "y": %b}]',
    ):
        body = b'{"model": "%b", "messages": [{"role": "user", "content": "x"}], %b}' % (
            model.encode(),
            fields % nested,
        )
        response = gateway.http.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
        require_error(response, 400, None)
    assert vllm.seen == []


@pytest.mark.parametrize(
    "kwargs",
    [
        {"chat_template": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"},
        {"tokenize": True},
        {"messages": []},
        {"return_dict": True, "tokenizer_kwargs": {}},
    ],
)
def test_a_template_is_not_the_clients(gateway: Gateway, vllm: ScriptedVllm, kwargs: dict[str, Any]) -> None:
    body = {"model": "twin", "messages": QUESTION, "chat_template_kwargs": kwargs}
    response = gateway.http.post("/v1/chat/completions", json=body)
    assert require_error(response, 400, None)["param"] == "chat_template_kwargs"
    assert vllm.seen == []


def test_arguments_for_the_template_reach_it_and_the_model(gateway: Gateway, vllm: ScriptedVllm) -> None:
    body = {"model": "twin", "messages": QUESTION, "chat_template_kwargs": {"enable_thinking": False}}
    assert gateway.http.post("/v1/chat/completions", json=body).status_code == 200
    assert vllm.seen[-1]["body"]["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_a_model_with_a_name_without_end(gateway: Gateway, path: str) -> None:
    body = {"model": "twin" * 1_000, "messages": QUESTION, "prompt": "x"}
    assert require_error(gateway.http.post(f"/v1/{path}", json=body), 400, None)["param"] == "model"


@pytest.mark.parametrize("content", ["<html>welcome</html>", "[]", '"text"', "{}", '{"data": [{"id": "gpt-9"}]}', None])
def test_something_else_where_vllm_should_be(serve: Serve, web: WebServer, content: str | None) -> None:
    if content is not None:
        web.serve("/v1/models", content)
    response = serve(vllm_url=web.url).http.post("/v1/chat/completions", json={"model": "base", "messages": QUESTION})
    assert "is no vLLM" in require_error(response, 502, "model_failed")["message"]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Be kind."}],
        [{"role": "assistant", "content": "I said so."}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": []}],
        [{"role": "user", "content": "\u3000\n\t "}],
        [{"role": "tool", "tool_call_id": "c1", "content": "seven"}],
        [{"role": "user", "content": "a\x00b\u2028\ufffe \U0001f600 \u202e"}],
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_chats_without_a_question_are_answered(searching: Gateway, messages: list[Any], stream: bool) -> None:
    body = {"model": "twin", "messages": messages, "stream": stream}
    response = searching.http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200
    assert '"citations":' in response.text


def test_a_number_that_is_none_in_an_otherwise_good_request(gateway: Gateway) -> None:
    body = b'{"model": "base", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}'
    response = gateway.http.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    require_error(response, 400, None)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/models/gpt-4", 404, "model_not_found"),
    ],
)
def test_paths_and_methods_that_are_none(gateway: Gateway, method: str, path: str, status: int, code: str) -> None:
    require_error(gateway.http.request(method, path), status, code)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_other_content_types(gateway: Gateway, kind: str) -> None:
    response = gateway.http.post("/v1/chat/completions", content=b"{}", headers={"content-type": kind})
    require_error(response, 415, "unsupported_media_type")


def test_a_request_under_another_name_of_this_machine(gateway: Gateway) -> None:
    require_error(gateway.http.get("/v1/models", headers={"host": "evil.example"}), 403, None)


def test_a_body_that_is_too_large(serve: Serve, vllm: ScriptedVllm) -> None:
    http = serve(gateway_max_body_bytes=10_000).http
    body = {"model": "base", "messages": [{"role": "user", "content": "x" * 20_000}]}
    require_error(http.post("/v1/chat/completions", json=body), 413, "request_too_large")

    def pieces() -> Any:  # without a content-length
        yield b'{"model": "base", "messages": [{"role": "user", "content": "'
        yield from (b"x" * 1000 for _ in range(20))
        yield b'"}]}'

    response = http.post("/v1/chat/completions", content=pieces(), headers={"content-type": "application/json"})
    require_error(response, 413, "request_too_large")
    assert vllm.seen == []


@pytest.mark.parametrize("model", ["base", "twin"])
def test_a_question_of_10_000_tokens(gateway: Gateway, model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "why " * 10_000}]}
    error = require_error(gateway.http.post("/v1/chat/completions", json=body), 400, "context_length_exceeded")
    assert "maximum context length is 2048 tokens" in error["message"]


def test_more_tokens_wanted_than_there_are(gateway: Gateway) -> None:
    body = {"model": "twin", "messages": QUESTION, "max_tokens": 4096}
    error = require_error(gateway.http.post("/v1/chat/completions", json=body), 400, "context_length_exceeded")
    assert error["param"] == "max_tokens"


def test_images(gateway: Gateway, vllm: ScriptedVllm) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]}]
    response = gateway.http.post("/v1/chat/completions", json={"model": "twin", "messages": messages})
    error = require_error(response, 400, "unsupported_content")
    assert error["param"] == "messages.0.content"
    assert vllm.seen == []
    response = gateway.http.post("/v1/chat/completions", json={"model": "base", "messages": messages})
    assert "multimodal" in require_error(response, 400, None)["message"]


def test_tool_calls_go_to_the_model(gateway: Gateway, vllm: ScriptedVllm) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "seven queues"},
    ]
    body = {"model": "twin", "messages": messages, "tools": [TOOL], "tool_choice": "auto"}
    assert gateway.http.post("/v1/chat/completions", json=body).status_code == 200
    sent = vllm.seen[-1]["body"]
    assert (sent["tools"], sent["tool_choice"]) == ([TOOL], "auto")
    assert sent["messages"][-2:] == messages[-2:]


@pytest.mark.parametrize(
    ("rag", "param"),
    [
        ({"top_k": -1}, "rag.top_k"),
        ({"kinds": ["song"]}, "rag.kinds.0"),
        ({"kinds": []}, "rag.kinds"),
        ({"colour": "blue"}, "rag.colour"),
        ({"links": ["x" * 3_000]}, "rag.links.0"),
        ("yes please", "rag"),
        (17, "rag"),
    ],
)
def test_options_that_are_none(gateway: Gateway, rag: Any, param: str) -> None:
    body = {"model": "twin", "messages": QUESTION, "rag": rag}
    error = require_error(gateway.http.post("/v1/chat/completions", json=body), 400, None)
    assert error["param"] == param
    assert error["message"].startswith(f"{param}: ")


def test_options_of_retrieval_where_there_is_none(gateway: Gateway) -> None:
    body = {"model": "twin", "prompt": "x", "rag": {"top_k": 3}}
    require_error(gateway.http.post("/v1/completions", json=body), 400, None)
