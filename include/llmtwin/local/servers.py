"""MongoDB, RabbitMQ and Qdrant as private processes of this machine, without Docker.

One class each. The local stack hands their command and environment to supervisor; tests start and stop them directly::

    server = MongoServer(folder, port=free_port(), binaries=home / ".local" / "bin")
    server.start()
    server.wait_ready()
    ...
    server.stop()

All listen on the loopback interface only and keep everything they write in their own folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from llmtwin.errors import LocalStackError
from llmtwin.local.mongod import fetch_mongod, find_mongod
from llmtwin.local.ports import LOOPBACK
from llmtwin.local.processes import OWNER, stop_owned

if TYPE_CHECKING:
    from pymongo import MongoClient

LOG_LINES_IN_ERRORS = 15


class Server(ABC):
    """One server process.

    Args:
        folder: Where it keeps its data and log; created when missing.
        port: The port it listens on.
    """

    name: ClassVar[str]

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder.absolute()
        self.port = port
        self.log = self.folder / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL clients connect to."""

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port it opens."""
        return (self.port,)

    def prepare(self) -> None:
        """Create the folders and fetch what is missing. Does nothing the second time.

        Raises:
            LocalStackError: The server is not installed and cannot be fetched.
        """
        self.folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground, once ``prepare`` has been called."""

    def environment(self) -> dict[str, str]:
        """Return the variables the command needs beyond this process's own."""
        return {OWNER: str(self.folder)}

    @abstractmethod
    def is_ready(self) -> bool:
        """Ask the server once, without waiting, whether it serves clients."""

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server in a process group of its own; it logs to ``log``."""
        self.prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                env=os.environ | self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self._process

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until the started server serves clients.

        Raises:
            LocalStackError: It ended, or ``timeout`` seconds passed; carries the end of its log.
        """
        process = self._process
        wait_until_ready(self.name, self.is_ready, lambda: process is None or process.poll() is None, self.log, timeout)

    def stop(self, timeout: float = 15.0) -> None:
        """Stop the server and every process it started. Does nothing when none runs."""
        if self._process is not None:
            # The server first and alone: Erlang complains, or dumps core, when its helper processes go before it.
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        stop_owned(self.folder, timeout)
        if self._process is not None:
            self._process.wait()
            self._process = None


class MongoServer(Server):
    """``mongod`` as the one-node replica set ``rs0``.

    Args:
        folder: Where it keeps its data and log.
        port: The port it listens on.
        binaries: Where a ``mongod`` is fetched into when there is none on PATH.
    """

    name = "mongodb"
    replica_set = "rs0"

    def __init__(self, folder: Path, port: int, binaries: Path) -> None:
        super().__init__(folder, port)
        self.binaries = binaries

    @property
    def url(self) -> str:
        return f"mongodb://{LOOPBACK}:{self.port}/?replicaSet={self.replica_set}"

    def prepare(self) -> None:
        super().prepare()
        (self.folder / "db").mkdir(exist_ok=True)
        fetch_mongod(self.binaries)

    def command(self) -> list[str]:
        return [
            *(str(find_mongod(self.binaries) or "mongod"), "--dbpath", str(self.folder / "db")),
            *("--bind_ip", LOOPBACK, "--port", str(self.port), "--nounixsocket", "--quiet"),
            # By default the oplog takes 5 % of the disk and the cache half of the memory.
            *("--replSet", self.replica_set, "--oplogSize", "1024", "--wiredTigerCacheSizeGB", "0.5"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # A lone primary has nobody to hand its clients to: the default waits 15 s for that on every stop.
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
        ]

    def is_ready(self) -> bool:
        """Tell whether it is a writable primary; makes it one after its first start or a changed port."""
        from pymongo import MongoClient
        from pymongo.errors import AutoReconnect, OperationFailure

        options: dict[str, Any] = {"serverSelectionTimeoutMS": 500, "connectTimeoutMS": 500, "socketTimeoutMS": 5_000}
        with MongoClient(LOOPBACK, self.port, directConnection=True, **options) as client:
            try:
                hello = client.admin.command("hello")
                if hello["isWritablePrimary"] and hello.get("me") == self._member["host"]:
                    return True
                self._configure(client)
            except (AutoReconnect, OperationFailure):
                return False  # still starting, electing, or not yet accepting a configuration
        return False

    @property
    def _member(self) -> dict[str, Any]:
        return {"_id": 0, "host": f"{LOOPBACK}:{self.port}"}

    def _configure(self, client: MongoClient[dict[str, Any]]) -> None:
        from pymongo.errors import OperationFailure

        config = {"_id": self.replica_set, "version": 1, "members": [self._member]}
        try:
            current = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code != _NOT_YET_INITIALIZED:
                raise
            client.admin.command("replSetInitiate", config)
            return
        if current["members"][0]["host"] != self._member["host"]:
            # The data is from a time when the server had another port; without this it waits for itself for ever.
            current["members"] = [self._member]
            current["version"] += 1
            client.admin.command("replSetReconfig", current, force=True)


class RabbitServer(Server):
    """RabbitMQ as a private node, apart from a system service.

    Args:
        folder: Where it keeps its data, logs and Erlang cookie.
        port: The AMQP port.
        dist_port: The port of Erlang's distribution, which every node opens.
        epmd_port: The port of Erlang's port mapper, private to this node.
    """

    name = "rabbitmq"

    def __init__(self, folder: Path, port: int, dist_port: int, epmd_port: int) -> None:
        super().__init__(folder, port)
        self.dist_port = dist_port
        self.epmd_port = epmd_port

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}/%2F"

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port, self.dist_port, self.epmd_port)

    def prepare(self) -> None:
        if find_rabbitmq() is None:
            raise LocalStackError(
                "RabbitMQ is not installed: `apt-get install rabbitmq-server` on Debian and Ubuntu, "
                "or set RABBITMQ_URL to a broker that is already there"
            )
        super().prepare()
        # Written, not left out: without them RabbitMQ reads the system service's files in /etc/rabbitmq.
        (self.folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = {LOOPBACK}:{self.port}\n")
        (self.folder / "rabbitmq-env.conf").write_text("")
        (self.folder / "enabled_plugins").write_text("[].\n")

    def command(self) -> list[str]:
        return [str(find_rabbitmq() or "rabbitmq-server")]

    def environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return super().environment() | {
            "HOME": folder,  # the Erlang cookie lies here
            # The start script keeps a shell between us and the server unless it believes to run under a supervisor.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": "llmtwin@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_LOGS": "-",  # to standard output
            "RABBITMQ_PID_FILE": f"{folder}/rabbitmq.pid",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/rabbitmq-env.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
        }

    def is_ready(self) -> bool:
        """Tell whether a client can log in over AMQP."""
        if not _accepts_connections(self.port):
            return False
        import pika
        from pika.exceptions import AMQPError

        parameters = pika.URLParameters(self.url)
        parameters.socket_timeout = parameters.blocked_connection_timeout = 5.0
        parameters.connection_attempts = 1
        try:
            pika.BlockingConnection(parameters).close()
        except (AMQPError, OSError):
            return False
        return True


class QdrantServer(Server):
    """``llmtwin.local.qdrant``: Qdrant's REST API over its embedded engine."""

    name = "qdrant"

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def command(self) -> list[str]:
        module = [sys.executable, "-m", "llmtwin.local.qdrant"]
        return [*module, "--host", LOOPBACK, "--port", str(self.port), "--data-dir", str(self.folder / "storage")]

    def is_ready(self) -> bool:
        import httpx

        try:
            return httpx.get(f"{self.url}/readyz", timeout=5.0, trust_env=False).is_success
        except httpx.TransportError:
            return False


def find_rabbitmq() -> Path | None:
    """Return RabbitMQ's start script, or None when it is not installed."""
    # Debian's /usr/sbin/rabbitmq-server insists on root or the user rabbitmq; the script behind it does not.
    unwrapped = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    if unwrapped.is_file():
        return unwrapped
    found = shutil.which("rabbitmq-server")
    return Path(found) if found else None


def wait_until_ready(
    name: str, is_ready: Callable[[], bool], is_alive: Callable[[], bool], log: Path, timeout: float
) -> None:
    """Wait until ``is_ready``.

    Raises:
        LocalStackError: The process is not alive any more, or ``timeout`` seconds passed; carries the end of its log.
    """
    deadline = time.monotonic() + timeout
    while not is_ready():
        if not is_alive():
            raise LocalStackError(f"{name} ended while starting:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise LocalStackError(f"{name} is not ready after {timeout:.0f} s; the end of its log:\n{tail(log)}")
        time.sleep(0.1)


def tail(log: Path, lines: int = LOG_LINES_IN_ERRORS) -> str:
    """Return the last lines of ``log``, after its path."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64_000))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return f"{log}: nothing was written"
    return "\n".join([f"{log}:", *(f"  {line}" for line in text.splitlines()[-lines:])])


def _accepts_connections(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False


_NOT_YET_INITIALIZED = 94
