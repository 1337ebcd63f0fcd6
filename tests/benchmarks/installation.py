"""Real servers of a benchmark's own, on free ports, in a folder that is gone afterwards."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from llmtwin.local.ports import free_port
from llmtwin.local.servers import MongoServer, QdrantServer, RabbitServer, Server
from llmtwin.settings import Settings

HOME = Path(__file__).resolve().parents[2]


def end_as_by_ctrl_c() -> None:
    """Have SIGTERM end this process in order; its servers would go on without it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))


@contextmanager
def installation(*names: str) -> Iterator[Settings]:
    """Run the servers of these names (``mongodb``, ``rabbitmq``, ``qdrant``) and give settings that point at them."""
    end_as_by_ctrl_c()
    with tempfile.TemporaryDirectory(prefix="llmtwin-bench-") as folder, ExitStack() as stack:
        data = Path(folder)
        known: list[Server] = [
            MongoServer(data / "mongodb", free_port(), HOME / ".local" / "bin"),
            RabbitServer(data / "rabbitmq", free_port(), free_port(), free_port()),
            QdrantServer(data / "qdrant", free_port()),
        ]
        servers = [server for server in known if server.name in names]
        for server in servers:
            stack.callback(server.stop)
            server.start()
        for server in servers:
            server.wait_ready()
        urls = {f"{server.name}_url": server.url for server in known}
        yield Settings(home=HOME, data_dir=data, models_dir=HOME / ".local" / "models", **urls)  # type: ignore[arg-type]
