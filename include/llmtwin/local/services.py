"""What the local stack consists of, and in which order it can start.

::

    mongodb ──┬──▶ cdc
    rabbitmq ─┘
    qdrant ────┬──▶ gateway      only where an LLM is asked for
    vllm ──────┘
    airflow-db ──▶ airflow-api-server, airflow-scheduler, airflow-dag-processor, airflow-triggerer
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from llmtwin.local.airflow import airflow_command, airflow_environment, airflow_url, database_is_current
from llmtwin.local.ports import LOOPBACK
from llmtwin.local.processes import OWNER
from llmtwin.local.servers import MongoServer, QdrantServer, RabbitServer, Server
from llmtwin.local.supervisor import Program
from llmtwin.local.vllm import VllmServer, answers, serving_environment
from llmtwin.settings import Settings, settings_environment


@dataclass(frozen=True)
class Port:
    """A port that a service opens.

    Attributes:
        number: The port.
        setting: The environment variable that moves it.
        url_setting: The environment variable that names a server to use instead, where there is one.
    """

    number: int
    setting: str
    url_setting: str | None = None


@dataclass(frozen=True)
class Service:
    """One service of the local stack.

    Attributes:
        program: How it runs.
        is_ready: Asks it once whether it serves; takes the time it was started at, in seconds since 1970. None:
            ready as soon as it has run for two seconds or, where it is not restarted, has ended well.
        needs: The services that must be ready before it starts.
        ports: The ports it opens.
        url: Where clients find it.
        prepare: Creates what it needs before it starts.
        is_done: For one that runs once: whether there is nothing to do.
    """

    program: Program
    is_ready: Callable[[float], bool] | None = None
    needs: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    url: str | None = None
    prepare: Callable[[], None] = field(default=lambda: None)
    is_done: Callable[[], bool] = field(default=lambda: False)

    @property
    def name(self) -> str:
        """How it is called in commands and messages."""
        return self.program.name


def services(settings: Settings, with_llm: bool = False) -> list[Service]:
    """Return the services that run on this machine under ``settings``: those without a URL of their own.

    Args:
        settings: Folders, ports and the URLs of servers that run elsewhere.
        with_llm: Whether vLLM and the gateway are among them.
    """
    own = [_server(server, ports) for server, ports in _servers(settings)]
    if with_llm and not settings.vllm_url:
        own.append(_vllm(settings))
    names = [service.name for service in own]
    gateway = [_gateway(settings, names)] if with_llm else []
    return [*own, _cdc(names), *_airflow(settings), *gateway]


def external_servers(settings: Settings) -> dict[str, str]:
    """Return the URLs of the servers that run elsewhere, by service name."""
    urls = {
        "mongodb": settings.mongodb_url,
        "rabbitmq": settings.rabbitmq_url,
        "qdrant": settings.qdrant_url,
        "vllm": settings.vllm_url,
    }
    return {name: url for name, url in urls.items() if url}


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that all programs of the stack share, beyond the user's own."""
    executables = str(Path(sys.executable).parent)
    return {
        **settings_environment(settings),
        **airflow_environment(settings),
        OWNER: str(settings.data),
        "PATH": os.pathsep.join([executables, os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        # Airflow renames its processes; without this, the new name is written over the environment that holds our mark.
        "SPT_NOENV": "1",
    }


def _servers(settings: Settings) -> list[tuple[Server, tuple[Port, ...]]]:
    own: list[tuple[Server, tuple[Port, ...]]] = []
    if not settings.mongodb_url:
        mongodb = MongoServer(settings.data / "mongodb", settings.mongodb_port, settings.data / "bin")
        own.append((mongodb, (Port(mongodb.port, "LLMTWIN_MONGODB_PORT", "MONGODB_URL"),)))
    if not settings.rabbitmq_url:
        rabbitmq = RabbitServer(
            settings.data / "rabbitmq", settings.rabbitmq_port, settings.rabbitmq_dist_port, settings.epmd_port
        )
        ports = (
            Port(rabbitmq.port, "LLMTWIN_RABBITMQ_PORT", "RABBITMQ_URL"),
            Port(rabbitmq.dist_port, "LLMTWIN_RABBITMQ_DIST_PORT"),
            Port(rabbitmq.epmd_port, "LLMTWIN_EPMD_PORT"),
        )
        own.append((rabbitmq, ports))
    if not settings.qdrant_url:
        qdrant = QdrantServer(settings.data / "qdrant", settings.qdrant_port)
        own.append((qdrant, (Port(qdrant.port, "LLMTWIN_QDRANT_PORT", "QDRANT_URL"),)))
    return own


def _server(server: Server, ports: tuple[Port, ...]) -> Service:
    # Without its own mark and settings: in the stack, every process has the stack's.
    variables = {name: value for name, value in server.environment().items() if not name.startswith("LLMTWIN_")}
    program = Program(server.name, tuple(server.command()), variables)
    if isinstance(server, RabbitServer):
        # It stops its helper processes itself, and complains when they go before it. While it boots it hears nothing.
        program = replace(program, stop_group=False, stop_seconds=8)
    return Service(
        program,
        is_ready=lambda since: server.is_ready(),
        ports=ports,
        url=server.url,
        prepare=server.prepare,
    )


def _cdc(own: list[str]) -> Service:
    program = Program("cdc", (sys.executable, "-m", "llmtwin.cli", "cdc"), {})
    return Service(program, needs=tuple(name for name in ("mongodb", "rabbitmq") if name in own))


def _vllm(settings: Settings) -> Service:
    server = VllmServer(settings.data / "vllm", settings)
    service = _server(server, (Port(server.port, "LLMTWIN_VLLM_PORT", "VLLM_URL"),))
    # It hands a stop on to its workers and waits for them.
    return replace(service, program=replace(service.program, stop_group=False))


def _gateway(settings: Settings, own: list[str]) -> Service:
    url = f"http://{LOOPBACK}:{settings.gateway_port}"
    program = Program("gateway", (sys.executable, "-m", "serving.gateway"), serving_environment(settings))
    return Service(
        program,
        is_ready=lambda since: answers(f"{url}/ready"),
        needs=tuple(name for name in ("qdrant", "vllm") if name in own),
        ports=(Port(settings.gateway_port, "LLMTWIN_GATEWAY_PORT"),),
        url=url,
    )


def _airflow(settings: Settings) -> list[Service]:
    url = airflow_url(settings)
    database = Service(
        Program("airflow-db", (sys.executable, "-m", "llmtwin.local.airflow"), {}, restart=False),
        is_done=lambda: database_is_current(settings),
    )
    # All components see one disk, so the little servers that hand task logs to another machine are left out.
    components = {
        "api-server": (("api-server",), "metadatabase"),
        "scheduler": (("scheduler", "--skip-serve-logs"), "scheduler"),
        "dag-processor": (("dag-processor",), "dag_processor"),
        "triggerer": (("triggerer", "--skip-serve-logs"), "triggerer"),
    }
    return [
        database,
        *(
            Service(
                Program(f"airflow-{name}", airflow_command(*arguments), {}, stop_seconds=_STOP_SECONDS.get(name, 15)),
                is_ready=partial(_is_healthy, url, health),
                needs=("airflow-db",),
                ports=(Port(settings.airflow_port, "LLMTWIN_AIRFLOW_PORT"),) if name == "api-server" else (),
                url=url if name == "api-server" else None,
            )
            for name, (arguments, health) in components.items()
        ),
    ]


# With a trigger at work, the triggerer of Airflow 3.3 waits 10 s for an answer that its own other half no longer gives.
# Killing it loses nothing: the next one takes its triggers over.
_STOP_SECONDS = {"triggerer": 3}


def _is_healthy(url: str, component: str, since: float) -> bool:
    """Ask Airflow's API for a component's health; a heartbeat from before ``since`` is its predecessor's."""
    import httpx

    try:
        answer = httpx.get(f"{url}/api/v2/monitor/health", timeout=5.0, trust_env=False)
    except httpx.TransportError:
        return False
    if not answer.is_success:
        return False
    health = answer.json()[component]
    heartbeat = health.get(f"latest_{component}_heartbeat")
    is_fresh = component == "metadatabase" or (
        heartbeat is not None and datetime.fromisoformat(heartbeat).timestamp() >= since
    )
    return health["status"] == "healthy" and is_fresh
