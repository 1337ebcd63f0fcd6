"""The official Python client works unchanged."""

from __future__ import annotations

import math

import openai
import pytest
from tests.integration.serving.gateway.conftest import Gateway, ScriptedVllm


def dot(left: list[float], right: list[float]) -> float:
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


QUESTION = [{"role": "user", "content": "What do you think of queues?"}]


def test_chat(gateway: Gateway, vllm: ScriptedVllm) -> None:
    answer = gateway.openai().chat.completions.create(model="base", messages=QUESTION)
    assert answer.choices[0].message.content == "word word word word word"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 12
    assert answer.model == "base"


def test_what_openai_knows_and_we_do_not_goes_to_the_model_untouched(gateway: Gateway, vllm: ScriptedVllm) -> None:
    parameters = {
        "temperature": 0.25,
        "top_p": 0.5,
        "seed": 17,
        "stop": ["\n\n", "END"],
        "max_tokens": 12,
        "logprobs": True,
        "top_logprobs": 3,
        "logit_bias": {"15": -100},
        "n": 2,
        "user": "somebody",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        "tool_choice": "none",
    }
    extra = {"min_p": 0.1, "repetition_penalty": 1.2, "chat_template_kwargs": {"thinking": False}}
    client = gateway.openai()
    client.chat.completions.create(model="base", messages=QUESTION, extra_body=extra, **parameters)
    assert vllm.seen[-1]["body"] == {"model": "base", "messages": QUESTION, **parameters, **extra}


@pytest.mark.parametrize("model", ["base", "twin"])
def test_streaming(gateway: Gateway, model: str) -> None:
    stream = gateway.openai().chat.completions.create(model=model, messages=QUESTION, stream=True)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "word word word word word"
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", ["base", "twin"])
def test_token_counts_of_a_stream(gateway: Gateway, model: str) -> None:
    stream = gateway.openai().chat.completions.create(
        model=model, messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    *_, last = stream
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (7, 5)


def test_the_stream_manager_of_the_client(gateway: Gateway) -> None:
    with gateway.openai().chat.completions.stream(model="twin", messages=QUESTION) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
    assert text == "word word word word word"


async def _ask_asynchronously(gateway: Gateway) -> str:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none") as client:
        stream = await client.chat.completions.create(model="base", messages=QUESTION, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def test_the_asynchronous_client(gateway: Gateway) -> None:
    import asyncio

    assert asyncio.run(_ask_asynchronously(gateway)) == "word word word word word"


def test_completions(gateway: Gateway) -> None:
    client = gateway.openai()
    assert client.completions.create(model="base", prompt="Once").choices[0].text == "word word word word word"
    stream = client.completions.create(model="twin", prompt="Once", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "word word word word word"


def test_models(gateway: Gateway) -> None:
    client = gateway.openai()
    assert [model.id for model in client.models.list()] == ["twin", "base", "all-MiniLM-L6-v2"]
    assert client.models.retrieve("twin").model_extra == {"root": "base"}
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-4'"):
        client.models.retrieve("gpt-4")


def test_embeddings(gateway: Gateway) -> None:
    client = gateway.openai()
    texts = ["a queue of messages", "a line of messages", "the taste of cheese"]
    answer = client.embeddings.create(model="all-MiniLM-L6-v2", input=texts)
    one, two, three = (item.embedding for item in answer.data)
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert len(one) == 384
    assert math.fsum(x * x for x in one) == pytest.approx(1, abs=1e-4)
    assert dot(one, two) > dot(one, three) + 0.2
    assert answer.usage.prompt_tokens > 12
    floats = client.embeddings.create(model="all-MiniLM-L6-v2", input=texts[0], encoding_format="float")
    assert floats.data[0].embedding == pytest.approx(one, abs=1e-6)


@pytest.mark.parametrize(
    ("request_", "error", "code", "param"),
    [
        ({"model": "gpt-4", "messages": QUESTION}, openai.NotFoundError, "model_not_found", "model"),
        ({"model": "twin@9", "messages": QUESTION}, openai.NotFoundError, "model_not_found", "model"),
        ({"model": "base", "messages": []}, openai.BadRequestError, None, "messages"),
        ({"model": "base", "messages": [{"role": "king"}]}, openai.BadRequestError, None, "messages.0.role"),
        ({"model": "base", "messages": QUESTION, "temperature": "hot"}, openai.BadRequestError, None, None),
    ],
)
def test_errors(gateway: Gateway, request_: dict, error: type[openai.APIStatusError], code: str, param: str) -> None:
    with pytest.raises(error) as raised:
        gateway.openai().chat.completions.create(**request_)
    assert (raised.value.code, raised.value.param) == (code, param)
    assert raised.value.type == "invalid_request_error"
    assert raised.value.request_id


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, openai.InternalServerError), (503, openai.InternalServerError), (422, openai.UnprocessableEntityError)],
)
def test_errors_of_the_model_server(
    gateway: Gateway, vllm: ScriptedVllm, status: int, error: type[openai.APIStatusError]
) -> None:
    vllm.script(status=status)
    with pytest.raises(error, match="the script says so"):
        gateway.openai().chat.completions.create(model="base", messages=QUESTION)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "ada"},
        {"input": ""},
        {"input": []},
        {"input": [1, 2, 3]},
        {"dimensions": 12},
        {"input": "word " * 300},
        {"encoding_format": "hex"},
    ],
)
def test_embeddings_that_cannot_be_made(gateway: Gateway, fields: dict) -> None:
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)):
        gateway.openai().embeddings.create(**{"model": "all-MiniLM-L6-v2", "input": "text"} | fields)
