"""Errors in OpenAI's shape: ``{"error": {"message", "type", "param", "code"}}``, whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from llmtwin.errors import RegistryError

log = structlog.get_logger(__name__)

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large", 415: "unsupported_media_type"}


class ApiError(HTTPException):
    """A request that is answered with an error.

    An `HTTPException`, because FastAPI takes any other one that is raised while a body is read for malformed JSON.

    Args:
        status: The HTTP status.
        message: What happened, to what, and what to do.
        code: OpenAI's short word for it, which programs read.
        param: The field of the request that is at fault.
        headers: What else the answer carries.
        quotes: Whether the message may repeat what was asked.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        quotes: bool = False,
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.quotes = quotes
        self.status = status
        self.message = message
        self.code = code if code is not None else _CODES.get(status)
        self.param = param

    @property
    def body(self) -> dict[str, Any]:
        """The error as OpenAI's clients read it."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def event(self) -> bytes:
        """The error as a server-sent event: what a client sees that has begun to read an answer."""
        return b"data: " + orjson.dumps(self.body) + b"\n\n"

    def response(self) -> Response:
        """The error as an answer."""
        return Response(orjson.dumps(self.body), self.status, dict(self.headers or {}), "application/json")


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Return the error for a request that can never be answered as it is."""
    return ApiError(400, message, param=param, code=code)


class ClientGoneError(Exception):
    """The client has left, so nobody waits for an answer."""


def register(app: FastAPI) -> None:
    """Let the app answer every error in OpenAI's shape."""
    app.add_exception_handler(RequestValidationError, _unlike_the_schema)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientGoneError, _client_gone)
    app.add_exception_handler(RegistryError, _registry)
    app.add_exception_handler(Exception, _mistake)


async def _unlike_the_schema(_request: Request, error: Exception) -> Response:
    """Answer with OpenAI's 400, naming the first field that is wrong."""
    assert isinstance(error, RequestValidationError)
    # Of a union's members, the one that was meant is the one that was understood the furthest.
    worst = max(error.errors(), key=lambda one: len(one["loc"]))
    if worst["type"] == "json_invalid":
        return invalid(f"the body is no JSON: {worst['ctx']['error']} at {worst['loc'][-1]}").response()
    param = _param(worst, error.body)
    return invalid(f"{param or 'the body'}: {worst['msg']}", param or None).response()


def _param(error: dict[str, Any], body: Any) -> str:
    """Return the path of a field; Pydantic's names for the members of a union are no part of it."""
    path: list[str] = []
    value = body
    for part in error["loc"][1:]:
        is_there = part in value if isinstance(value, dict) else isinstance(value, list) and isinstance(part, int)
        if is_there or (error["type"] == "missing" and part == error["loc"][-1]):
            path.append(str(part))
            value = value[part] if is_there else None
    return ".".join(path)


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer what we refuse, and what the framework does: unknown paths and methods, an unreadable body."""
    assert isinstance(error, HTTPException)
    if isinstance(error, ApiError):
        return error.response()
    messages = {
        404: f"there is nothing at {request.method} {request.url.path}",
        405: f"{request.url.path} does not take {request.method}",
    }
    message = messages.get(error.status_code, str(error.detail) or HTTPStatus(error.status_code).phrase)
    return ApiError(error.status_code, message, headers=error.headers).response()


async def _registry(_request: Request, error: Exception) -> Response:
    log.error("the registry cannot be read", reason=str(error))
    return ApiError(503, "the gateway cannot read the registry of models", code="registry_unavailable").response()


async def _client_gone(_request: Request, _error: Exception) -> Response:
    """Answer nobody; the status is nginx's, for the log."""
    return Response(status_code=499)


async def _mistake(_request: Request, _error: Exception) -> Response:
    """Answer our own mistakes; the server logs the traceback."""
    return ApiError(500, "the gateway made a mistake; its log says more", code="internal_error").response()
