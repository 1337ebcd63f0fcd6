"""The local Qdrant server as a process that tests may kill."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx
from qdrant_client import QdrantClient


class LocalQdrant:
    """A server on a free port over a data folder; as a context manager it runs inside the block."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.options = options
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """The command line that starts it."""
        where = ["--port", str(self.port), "--data-dir", str(self.data_dir)]
        return [sys.executable, "-m", "llmtwin.local.qdrant", *where, *self.options]

    def start(self) -> None:
        """Start, and wait until it is ready."""
        self.process = subprocess.Popen(self.command())
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{self.url}/readyz").raise_for_status()
                return
            except httpx.TransportError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise
                time.sleep(0.05)

    def stop(self) -> int:
        """Ask it to end; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def client(self) -> QdrantClient:
        """A client of this server."""
        return QdrantClient(url=self.url, timeout=60, check_compatibility=False)

    def __enter__(self) -> LocalQdrant:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
