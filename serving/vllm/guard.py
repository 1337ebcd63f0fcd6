"""What reaches vLLM: the few endpoints that are used, and adapters of the registry only.

vLLM loads adapters at run time for whoever asks, from any path, and by more than one door: ``/v1/load_lora_adapter``,
``/adapters`` (for SageMaker), a model's name in a request (its resolver plug-ins). An adapter of one's own changes what
everybody is answered. So all that is not listed here is answered with 404, and of the one door that is left, the path
must lie in the registry and the name must be that version's.

It runs inside vLLM's process as ASGI middleware, in an environment of its own: standard library only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ADAPTERS_VARIABLE = "LLMTWIN_ADAPTERS_DIR"
OPEN = frozenset(
    {
        ("GET", "/health"),
        ("GET", "/metrics"),
        ("GET", "/version"),
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/tokenize"),
        ("POST", "/detokenize"),
    }
)
LOAD = ("POST", "/v1/load_lora_adapter")

_MAX_BODY_BYTES = 16_384
_FIELDS = {"lora_name": str, "lora_path": str, "load_inplace": bool}


class RefusedError(Exception):
    """A request that vLLM must not see."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class AdapterGuard:
    """ASGI middleware; the registry's folder of adapters comes in ``LLMTWIN_ADAPTERS_DIR``.

    Args:
        app: vLLM's server.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._adapters = Path(os.environ[ADAPTERS_VARIABLE]).resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            endpoint = (scope["method"], scope["path"])
            try:
                if endpoint == LOAD:
                    body = self.checked(await _read(receive))
                    scope, receive = _with_body(scope, receive, body)
                elif endpoint not in OPEN:
                    raise RefusedError(404, f"{' '.join(endpoint)} is not offered here")
            except RefusedError as refusal:
                await _answer(send, refusal)
                return
        await self._app(scope, receive, send)

    def checked(self, body: bytes) -> bytes:
        """Return the body of a request to load an adapter, written anew from what was checked.

        Raises:
            RefusedError: 400 for a body of another shape, 403 for an adapter outside the registry, 404 for one that
                is not there.
        """
        try:
            wanted = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, f"the body is no JSON: {error}") from error
        if not isinstance(wanted, dict) or not wanted.keys() <= _FIELDS.keys():
            raise RefusedError(400, f"the body must be an object of {', '.join(_FIELDS)}")
        if not all(isinstance(wanted[name], kind) for name, kind in _FIELDS.items() if name in wanted):
            raise RefusedError(400, "lora_name and lora_path must be strings, load_inplace true or false")
        name, path = str(wanted.get("lora_name", "")), str(wanted.get("lora_path", ""))
        try:
            folder = Path(path).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # a NUL byte, a circle of links
            raise RefusedError(400, f"lora_path is no path: {error}") from error
        if not Path(path).is_absolute() or folder.parent != self._adapters:
            raise RefusedError(403, "lora_path must be a version's folder in the registry")
        if name != f"twin@{folder.name}":
            raise RefusedError(403, f"lora_name of this folder is twin@{folder.name}")
        if not folder.is_dir():
            raise RefusedError(404, f"the registry has no version {folder.name}")
        checked = {"lora_name": name, "lora_path": str(folder), "load_inplace": wanted.get("load_inplace", False)}
        return json.dumps(checked).encode()


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedError(400, "the request was broken off")
        body += message.get("body", b"")
        if len(body) > _MAX_BODY_BYTES:
            raise RefusedError(413, f"the body is larger than {_MAX_BODY_BYTES} bytes")
        if not message.get("more_body", False):
            return bytes(body)


def _with_body(scope: Scope, receive: Receive, body: bytes) -> tuple[Scope, Receive]:
    replaced = (b"content-length", b"content-type", b"transfer-encoding")
    headers = [(name, value) for name, value in scope["headers"] if name.lower() not in replaced]
    headers += [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_checked() -> Message:
        return waiting.pop() if waiting else await receive()

    return {**scope, "headers": headers}, receive_checked


async def _answer(send: Send, refusal: RefusedError) -> None:
    kind = {403: "PermissionDeniedError", 404: "NotFoundError"}.get(refusal.status, "BadRequestError")
    error = {"message": str(refusal), "type": kind, "param": None, "code": refusal.status}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
