"""``python -m serving.gateway``: serve until SIGTERM or SIGINT; answers that have begun get their time to end."""

from __future__ import annotations

import signal
import socket
import sys

import uvicorn

from llmtwin.errors import LlmtwinError, PortInUseError
from llmtwin.settings import Settings, get_settings
from serving.gateway.app import create_app
from serving.gateway.trace import TraceSink

_GRACE_SECONDS = 30
_BACKLOG = 1024


def main() -> int:
    """Serve; return the exit status."""
    try:
        settings = get_settings()
        config = configuration(settings)
        listener = listen(settings)
    except LlmtwinError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    # uvicorn raises the signal again when it has shut down, which by default would end us with the signal's status.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server = uvicorn.Server(config)
    with listener:
        server.run(sockets=[listener])
    return 0 if server.started else 1


def listen(settings: Settings) -> socket.socket:
    """Return a socket bound to the gateway's port.

    Raises:
        PortInUseError: The port is taken, or the address is none of this machine.
    """
    host, port = settings.gateway_host, settings.gateway_port
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG
        )
    except OSError as error:
        raise PortInUseError(
            f"the gateway cannot listen on {host}:{port} ({error.strerror}): change LLMTWIN_GATEWAY_PORT or "
            "LLMTWIN_GATEWAY_HOST"
        ) from error


def configuration(settings: Settings, sink: TraceSink | None = None) -> uvicorn.Config:
    """Return how the gateway is served.

    Raises:
        SettingsError: A setting cannot be read.
    """
    return uvicorn.Config(
        create_app(settings, sink=sink),
        host=settings.gateway_host,
        port=settings.gateway_port,
        lifespan="on",
        loop="uvloop",
        http="httptools",
        ws="none",
        # A header that any client can set would let it count as somebody else.
        proxy_headers=bool(settings.gateway_trusted_proxies),
        forwarded_allow_ips=settings.gateway_trusted_proxies or None,
        server_header=False,
        log_level="warning",
        access_log=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
