"""A server that speaks vLLM's API from a script, for what a real one cannot be made to do: fail at a chosen moment.

``python tests/scripted_vllm.py PORT MODEL_FOLDER``. ``POST /script`` sets how the next answers go, ``GET /seen`` tells
the requests that came and how each ended: ``done``, ``cancelled`` (the client closed the connection) or ``cut``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import zlib
from typing import Any

from aiohttp import web

DEFAULT = {
    "tokens": 5,
    "interval": 0.0,
    "cut_after": None,
    "status": None,
    "delay": 0.0,
    "text": "word",
    "silent": False,
    "load_delay": 0.0,
    "list_held": False,  # do not say what is loaded before the next script
    "window": 2048,
    "texts": {},  # what a model says, by its name
    "logprobs": {},  # of each token of a prompt, by the model's name
}


def main() -> None:
    """Serve until terminated."""
    port, root = int(sys.argv[1]), sys.argv[2]
    app = web.Application(client_max_size=2**24)
    app["root"], app["script"], app["seen"], app["adapters"] = root, dict(DEFAULT), [], {}
    app.add_routes(
        [
            web.post("/script", script),
            web.get("/seen", seen),
            web.get("/health", lambda request: web.Response()),
            web.get("/version", lambda request: web.json_response({"version": "scripted"})),
            web.get("/v1/models", models),
            web.post("/tokenize", tokenize),
            web.post("/v1/load_lora_adapter", load),
            web.post("/v1/chat/completions", complete),
            web.post("/v1/completions", complete),
        ]
    )
    web.run_app(app, host="127.0.0.1", port=port, handler_cancellation=True, print=None, access_log=None)


async def script(request: web.Request) -> web.Response:
    """Start over with this script: adapters and what was seen are forgotten."""
    # Read before anything is forgotten: other requests are answered while we wait.
    given = await request.json()
    request.app["script"].update(DEFAULT | given)
    request.app["seen"].clear()
    request.app["adapters"].clear()
    return web.Response()


async def seen(request: web.Request) -> web.Response:
    """Tell what came."""
    return web.json_response(request.app["seen"])


async def models(request: web.Request) -> web.Response:
    """List as vLLM does."""
    while request.app["script"]["list_held"]:
        await asyncio.sleep(0.02)
    window = request.app["script"]["window"]
    base = {"id": "base", "object": "model", "root": request.app["root"], "parent": None, "max_model_len": window}
    loaded = [
        {"id": name, "object": "model", "root": path, "parent": "base"}
        for name, path in request.app["adapters"].items()
    ]
    return web.json_response({"object": "list", "data": [base, *loaded]})


async def tokenize(request: web.Request) -> web.Response:
    """Return a chat's tokens: one for each word of ChatML."""
    body = await request.json()
    words: list[str] = []
    for number, message in enumerate(body["messages"], 1):
        words += [f"<|im_start|>{message['role']}", *message["content"].split()]
        if number < len(body["messages"]) or not body.get("continue_final_message"):
            words.append("<|im_end|>")
    if body.get("add_generation_prompt", True):
        words.append("<|im_start|>assistant")
    tokens = [zlib.crc32(word.encode()) % 50_000 for word in words]
    return web.json_response({"tokens": tokens, "count": len(tokens), "max_model_len": request.app["script"]["window"]})


async def load(request: web.Request) -> web.Response:
    """Load an adapter."""
    body = await request.json()
    if delay := request.app["script"]["load_delay"]:
        request.app["seen"].append({"path": request.path, "body": body})
        await asyncio.sleep(delay)
    if body["lora_name"] in request.app["adapters"] and not body.get("load_inplace"):
        return refusal(400, f"The lora adapter '{body['lora_name']}' has already been loaded.")
    request.app["adapters"][body["lora_name"]] = body["lora_path"]
    return web.Response(text=f"Success: LoRA adapter '{body['lora_name']}' added successfully.")


async def complete(request: web.Request) -> web.StreamResponse:
    """Answer by the script."""
    rules: dict[str, Any] = dict(request.app["script"])
    try:
        body = await request.json()
    except ValueError as error:
        return refusal(400, str(error))
    entry = {"path": request.path, "headers": dict(request.headers), "body": body, "ended": None, "sent": 0}
    request.app["seen"].append(entry)
    try:
        return await _complete(request, body, rules, entry)
    except (asyncio.CancelledError, ConnectionResetError):
        entry["ended"] = "cancelled"
        raise


async def _complete(
    request: web.Request, body: dict[str, Any], rules: dict[str, Any], entry: dict[str, Any]
) -> web.StreamResponse:
    if rules["delay"]:
        await asyncio.sleep(rules["delay"])
    if rules["status"]:
        return refusal(rules["status"], "the script says so")
    if body.get("model") not in {"base", *request.app["adapters"]}:
        return refusal(404, f"The model `{body.get('model')}` does not exist.")
    if problem := wrong_field(body, rules["window"]):
        return refusal(400, problem)
    rules = rules | {"tokens": body["max_tokens"] if rules["tokens"] is None else rules["tokens"]}
    if body.get("stream"):
        return await _stream(request, body, rules, entry)
    entry["ended"] = "done"
    text = rules["texts"].get(body["model"]) or " ".join([rules["text"]] * rules["tokens"])
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
    if body.get("prompt_logprobs") is not None:
        logprob = rules["logprobs"].get(body["model"], -2.0)
        choice["prompt_logprobs"] = [None, *({str(token): {"logprob": logprob}} for token in body["prompt"][1:])]
    is_chat = request.path.endswith("chat/completions")
    choice |= {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
    return web.json_response(envelope(request, body, [choice]) | {"usage": usage(rules["tokens"])})


async def _stream(
    request: web.Request, body: dict[str, Any], rules: dict[str, Any], entry: dict[str, Any]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    is_chat = request.path.endswith("chat/completions")

    async def send(choices: list[dict[str, Any]], **more: Any) -> None:
        event = json.dumps(envelope(request, body, choices, stream=True) | more, separators=(",", ":"))
        await response.write(f"data: {event}\n\n".encode())
        entry["sent"] += 1

    for number in range(rules["tokens"]):
        if number == rules["cut_after"]:
            # Half an event, and then the connection is gone, as when the process is killed.
            await response.write(b'data: {"id":"chatcmpl-half')
            entry["ended"] = "cut"
            assert request.transport is not None
            request.transport.close()
            return response
        text = rules["text"] if number == 0 else f" {rules['text']}"
        piece = {"delta": {"content": text}} if is_chat else {"text": text}
        await send([{"index": 0, **piece, "logprobs": None, "finish_reason": None}])
        if rules["silent"]:
            await asyncio.sleep(3600)
        await asyncio.sleep(rules["interval"])
    last = {"delta": {"content": ""}} if is_chat else {"text": ""}
    await send([{"index": 0, **last, "logprobs": None, "finish_reason": "stop", "stop_reason": None}])
    if (body.get("stream_options") or {}).get("include_usage"):
        await send([], usage=usage(rules["tokens"]))
    await response.write(b"data: [DONE]\n\n")
    entry["ended"] = "done"
    return response


def wrong_field(body: dict[str, Any], window: int) -> str | None:
    """Return what vLLM would say of a field of the wrong type, for those that matter here."""
    numbers = ("temperature", "top_p", "max_tokens", "n", "seed")
    for name in numbers:
        if body.get(name) is not None and (isinstance(body[name], (str, list, dict))):
            return f"Input should be a valid number: {name}"
    for message in body.get("messages", ()):
        if isinstance(message.get("content"), list) and any("image_url" in part for part in message["content"]):
            return "base is not a multimodal model"
    if len(json.dumps(body.get("messages") or body.get("prompt"))) > 6 * window:
        return f"This model's maximum context length is {window} tokens. However, your request has more input tokens."
    return None


def envelope(request: web.Request, body: dict[str, Any], choices: list[Any], stream: bool = False) -> dict[str, Any]:
    """Return what every answer and every chunk holds."""
    chat = request.path.endswith("chat/completions")
    kind = ("chat.completion" + (".chunk" if stream else "")) if chat else "text_completion"
    number = request.headers.get("x-request-id", "none")
    return {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{number}",
        "object": kind,
        "created": int(time.time()),
        "model": body["model"],
        "choices": choices,
    }


def usage(tokens: int) -> dict[str, int]:
    """Return token counts."""
    return {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens}


def refusal(status: int, message: str) -> web.Response:
    """Return an error in vLLM's shape."""
    error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
    return web.json_response({"error": error}, status=status)


if __name__ == "__main__":
    main()
