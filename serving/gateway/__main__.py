"""``python -m serving.gateway``: serve until SIGTERM or SIGINT; answers that have begun get their time to end."""

from __future__ import annotations

import sys

import uvicorn
from serving.gateway.app import create_app
from serving.gateway.trace import TraceSink

from llmtwin.errors import LlmtwinError
from llmtwin.settings import Settings, get_settings

_GRACE_SECONDS = 30


def main() -> int:
    """Serve; return the exit status."""
    try:
        settings = get_settings()
        server = uvicorn.Server(configuration(settings))
    except LlmtwinError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    server.run()
    return 0 if server.started else 1


def configuration(settings: Settings, sink: TraceSink | None = None) -> uvicorn.Config:
    """Return how the gateway is served.

    Raises:
        SettingsError: A setting cannot be read.
    """
    return uvicorn.Config(
        create_app(settings, sink=sink),
        host=settings.gateway_host,
        port=settings.gateway_port,
        loop="uvloop",
        http="httptools",
        ws="none",
        # A header that any client can set would let it count as somebody else.
        proxy_headers=bool(settings.gateway_trusted_proxies),
        forwarded_allow_ips=settings.gateway_trusted_proxies or None,
        server_header=False,
        log_level="warning",
        access_log=False,
        backlog=1024,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
