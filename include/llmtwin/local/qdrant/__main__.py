"""``python -m llmtwin.local.qdrant --data-dir DIR``: serve until SIGTERM or SIGINT, then exit with 0."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from pathlib import Path

from llmtwin.errors import LocalStackError, PortInUseError


def main() -> int:
    """Serve; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m llmtwin.local.qdrant", description="A local Qdrant server.")
    parser.add_argument("--data-dir", type=Path, required=True, help="where collections live; created where missing")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=6333)
    parser.add_argument("--api-key", help="refuse requests without this key")
    options = parser.parse_args()
    try:
        serve(options.data_dir, options.host, options.port, options.api_key)
    except LocalStackError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def serve(data_dir: Path, host: str, port: int, api_key: str | None) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        LocalStackError: The data folder or the port is taken.
    """
    import uvicorn

    from llmtwin.local.qdrant.app import make_app
    from llmtwin.local.qdrant.storage import Storage

    # uvicorn raises the signal again when it has shut down; by default that would end us before we close the storage.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    with listen(host, port) as listener:
        storage = Storage(data_dir)
        try:
            app = make_app(storage, api_key=api_key, only_from=loopback_names(host))
            config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            storage.close()


def loopback_names(host: str) -> frozenset[str] | None:
    """Return the names of this machine to itself where `host` is one of them, else None."""
    names = frozenset({"localhost", "127.0.0.1", "::1"})
    return names if host in names else None


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to the port.

    Raises:
        PortInUseError: The port is taken.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise PortInUseError(f"cannot listen on {host}:{port} ({error.strerror}): choose another --port") from error


if __name__ == "__main__":
    sys.exit(main())
