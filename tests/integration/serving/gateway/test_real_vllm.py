"""The official client against the gateway with a real vLLM on the CPU, and the real Qdrant."""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest
from tests.adapters import BASE_MODEL, save_adapter
from tests.integration.serving.gateway.conftest import Gateway, served
from tests.integration.serving.gateway.test_citations import CHUNKS, chunk, index

from llmtwin.documents import Kind
from llmtwin.local.ports import free_port
from llmtwin.registry import Registry
from llmtwin.settings import Settings

pytestmark = pytest.mark.stack

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
ABOUT_QUEUES = [{"role": "user", "content": "What does a message queue do?"}]


@pytest.fixture(scope="module")
def gateway(vllm_server: Settings, qdrant_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = vllm_server.model_copy(
        update={
            "vllm_url": vllm_server.vllm,
            "qdrant_url": qdrant_url,
            "gateway_port": free_port(),
            "gateway_rate_limit": "",
            "gateway_keys_file": tmp_path_factory.mktemp("keys") / "keys.json",
        }
    )
    index(
        settings, *CHUNKS, *(chunk(10 + n, Kind.ARTICLE, f"A message queue. {'On and on. ' * 60}") for n in range(12))
    )
    with served(settings) as running:
        yield running


def test_it_is_ready(gateway: Gateway) -> None:
    assert gateway.http.get("/ready").json()["status"] == "ready"


def test_a_chat_with_the_base_model(gateway: Gateway) -> None:
    answer = gateway.openai().chat.completions.create(model="base", messages=QUESTION, temperature=0, max_tokens=16)
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.model == "base"
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0


def test_a_stream_is_what_the_whole_answer_is(gateway: Gateway) -> None:
    request = {"model": "twin", "messages": ABOUT_QUEUES, "temperature": 0, "seed": 1, "max_tokens": 24}
    client = gateway.openai()
    # A prompt found in the prefix cache is computed in other steps, and so rounds differently, than one that is not.
    client.chat.completions.create(**request)
    whole = client.chat.completions.create(**request)
    *chunks, last = client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert last.usage == whole.usage
    assert last.model_extra["citations"] == whole.model_extra["citations"]
    assert whole.model_extra["citations"]


def test_what_goes_through_untouched_is_obeyed(gateway: Gateway) -> None:
    client = gateway.openai()
    stopped = client.chat.completions.create(
        model="base", messages=[{"role": "user", "content": "Count: 1, 2, 3, 4, 5"}], stop=["3"], temperature=0
    )
    assert stopped.choices[0].finish_reason == "stop"
    assert "3" not in (stopped.choices[0].message.content or "")
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    formatted = client.chat.completions.create(
        model="base",
        messages=QUESTION,
        max_tokens=64,
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema}},
        logprobs=True,
    )
    assert json.loads(formatted.choices[0].message.content or "")["city"] in ("Paris", "Rome")
    assert formatted.choices[0].logprobs is not None


def test_passages_fill_the_window_and_never_exceed_it(gateway: Gateway) -> None:
    """The gateway counts as vLLM does: what it lets through, vLLM takes."""
    for top_k, answer_tokens in ((20, 1), (20, 64)):
        answer = gateway.openai().chat.completions.create(
            model="twin",
            messages=ABOUT_QUEUES,
            max_tokens=answer_tokens,
            extra_body={"ignore_eos": True, "rag": {"top_k": top_k, "deduplicate": False}},
        )
        assert answer.usage is not None
        assert answer.usage.completion_tokens == answer_tokens
        assert answer.usage.total_tokens <= gateway.settings.vllm_max_model_len


def test_completions(gateway: Gateway) -> None:
    answer = gateway.openai().completions.create(
        model="base", prompt="The capital of France is", max_tokens=4, temperature=0
    )
    assert "Paris" in answer.choices[0].text


def test_an_adapter_of_the_registry_is_loaded_when_it_is_asked_for(gateway: Gateway, vllm_server: Settings) -> None:
    registry = Registry(vllm_server.registry)
    version = registry.register(save_adapter(vllm_server.registry.parent / "made", seed=3), BASE_MODEL, 16)
    answer = gateway.openai().chat.completions.create(model=version.served_name, messages=QUESTION, max_tokens=4)
    assert answer.model == version.served_name


@pytest.mark.parametrize("model", ["base", "twin"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_question_of_10_000_tokens(gateway: Gateway, model: str, stream: bool) -> None:
    messages = [{"role": "user", "content": "why " * 10_000}]
    with pytest.raises(openai.BadRequestError) as raised:
        gateway.openai().chat.completions.create(model=model, messages=messages, stream=stream)
    assert raised.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": -4},
        {"max_tokens": 0},
        {"tools": [{"type": "function", "function": {"name": "look"}}], "tool_choice": "auto"},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}
            ]
        },
        {"response_format": {"type": "poem"}},
    ],
)
def test_what_the_model_cannot_do_is_a_400(gateway: Gateway, fields: dict[str, object]) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        gateway.openai().chat.completions.create(**{"model": "base", "messages": QUESTION} | fields)
    assert raised.value.type == "invalid_request_error"
    assert raised.value.message
