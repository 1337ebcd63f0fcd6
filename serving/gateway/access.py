"""Who may ask, how often and how much: before a request is read, and for every path alike.

Plain ASGI: Starlette's middleware classes would hand every chunk of a stream through a queue.
"""

from __future__ import annotations

from time import perf_counter, time
from typing import Any

import structlog
from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid6 import uuid7

from llmtwin.errors import ApiKeyError, SettingsError
from llmtwin.keys import KeyFile
from llmtwin.settings import Settings
from serving.gateway.errors import ApiError
from serving.gateway.metrics import Metrics

log = structlog.get_logger(__name__)

PROTECTED = "/v1/"
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1", "[::1]")


def rate_limits(rates: str) -> list[RateLimitItem]:
    """Return limits such as ``60/minute`` or ``10/second;1000/hour``; none for an empty text.

    Raises:
        SettingsError: That is no rate.
    """
    try:
        return parse_many(rates) if rates.strip() else []
    except ValueError as error:
        raise SettingsError(
            f"LLMTWIN_GATEWAY_RATE_LIMIT: {rates!r} is no rate; write 60/minute, or 10/second;1000/hour"
        ) from error


class Access:
    """Names each request, checks key, rate and size, counts and logs it.

    Args:
        app: What answers.
        settings: Keys and limits.
        limits: How often one client may ask.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, settings: Settings, limits: list[RateLimitItem], metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._keys = KeyFile(settings.gateway_keys)
        self._require_key = settings.gateway_require_key
        self._most_bytes = settings.gateway_max_body_bytes
        self._is_local = settings.gateway_host in _THIS_MACHINE
        self._names = {*_THIS_MACHINE, *filter(None, map(str.strip, settings.gateway_names.split(",")))}
        self._limits = limits
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 499
        request_id = uuid7().hex
        extra: dict[str, str] = {"x-request-id": request_id}
        scope.setdefault("state", {}).update(request_id=request_id, key=None)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in extra.items():
                    headers[name] = value
            await send(message)

        self._metrics.in_flight.inc()
        try:
            headers = Headers(scope=scope)
            if self._is_local:
                self._require_known_name(headers)
            if scope["path"].startswith(PROTECTED):
                await self._admit(scope, headers, extra)
                _check_type(scope, headers)
            await self._app(scope, self._bounded(headers, receive), answer)
        except ApiError as error:
            await error.response()(scope, receive, answer)
        finally:
            self._metrics.in_flight.dec()
            self._count(scope, status, perf_counter() - started)

    async def _admit(self, scope: Scope, headers: Headers, extra: dict[str, str]) -> None:
        """Check the key, then the rate; a wrong key counts against the address it came from.

        Raises:
            ApiError: No valid key (401), too many requests (429), or the keys cannot be read (503).
        """
        client = scope.get("client") or ("unknown",)
        try:
            wanted = self._require_key or bool(self._keys.entries())
            key = self._keys.find(_bearer(headers)) if wanted else None
            if not wanted:
                self._require_known_name(headers)
        except ApiKeyError as error:
            log.error("no request can be admitted", reason=str(error))
            raise ApiError(503, "the gateway cannot read its API keys", code="keys_unavailable") from error
        await self._limit(f"key:{key.name}" if key else f"address:{client[0]}", extra)
        if wanted and key is None:
            raise ApiError(
                401,
                "this gateway wants a valid API key: send Authorization: Bearer …",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )
        scope["state"]["key"] = key.name if key else None

    def _require_known_name(self, headers: Headers) -> None:
        """Refuse other names: a web page of elsewhere can make one of its own point to this machine (DNS rebinding).

        In a container the address tells nothing: it listens on all of them, and the host publishes the port to itself
        only.
        """
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name not in self._names:
            raise ApiError(
                403,
                "this gateway answers only to localhost: for others it needs LLMTWIN_GATEWAY_HOST and a key, "
                "`llmtwin keys add NAME`",
            )

    async def _limit(self, who: str, extra: dict[str, str]) -> None:
        for limit in self._limits:
            passed = await self._limiter.hit(limit, who)
            stats = await self._limiter.get_window_stats(limit, who)
            seconds = max(1, round(stats.reset_time - time()))
            extra["x-ratelimit-limit-requests"] = str(limit.amount)
            extra["x-ratelimit-remaining-requests"] = str(max(0, stats.remaining))
            extra["x-ratelimit-reset-requests"] = f"{seconds}s"
            if not passed:
                raise ApiError(
                    429,
                    f"more than {limit.amount} requests in {limit.get_expiry()} s: wait {seconds} s",
                    code="rate_limit_exceeded",
                    headers={"retry-after": str(seconds), **extra},
                )

    def _bounded(self, headers: Headers, receive: Receive) -> Receive:
        """Return ``receive``, which raises once more has come in than settings allow.

        Raises:
            ApiError: The request says beforehand that it is too large (413).
        """
        too_large = ApiError(413, f"the request is larger than {self._most_bytes} bytes")
        if (length := headers.get("content-length", "0")).isdecimal() and int(length) > self._most_bytes:
            raise too_large
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most_bytes:
                raise too_large
            return message

        return bounded

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's own path, so that requests for made-up paths make no new series.
        path = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(path, str(status)).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        state: dict[str, Any] = scope["state"]
        log.info(
            "request",
            request_id=state["request_id"],
            method=scope["method"],
            path=path,
            status=status,
            seconds=round(seconds, 4),
            key=state["key"],
        )


def _check_type(scope: Scope, headers: Headers) -> None:
    """Want JSON: a web page of elsewhere can only send other types without being asked first."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if scope["method"] == "POST" and kind != "application/json":
        raise ApiError(415, "send the body as application/json")


def _bearer(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
