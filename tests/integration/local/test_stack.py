"""The whole local stack, Airflow included, in a folder of its own whose name has a space."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from tests.waiting import eventually

from llmtwin.errors import LocalStackError, PortInUseError
from llmtwin.local.airflow import USER, airflow_password, airflow_url
from llmtwin.local.ports import free_port, is_free
from llmtwin.local.processes import owned_by
from llmtwin.local.services import services
from llmtwin.local.stack import LocalStack
from llmtwin.settings import Settings, settings_environment

pytestmark = pytest.mark.stack

HOME = Path(__file__).resolve().parents[3]


def settings_in(data: Path) -> Settings:
    """Settings with free ports; mongod is fetched once for the whole suite."""
    binaries = HOME / ".local" / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    data.mkdir()
    (data / "bin").symlink_to(binaries)
    return Settings(
        home=HOME,
        data_dir=data,
        mongodb_url=None,
        rabbitmq_url=None,
        qdrant_url=None,
        mongodb_port=free_port(),
        rabbitmq_port=free_port(),
        rabbitmq_dist_port=free_port(),
        epmd_port=free_port(),
        qdrant_port=free_port(),
        airflow_port=free_port(),
    )


def part_of(settings: Settings, *names: str) -> LocalStack:
    return LocalStack(settings, [service for service in services(settings) if service.name in names])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalStack, Settings]]:
    settings = settings_in(tmp_path_factory.mktemp("stack") / "my data")
    stack = LocalStack(settings)
    try:
        assert stack.up() is True
        yield stack, settings
    finally:
        stack.down()


def test_every_service_is_ready(stack: tuple[LocalStack, Settings]) -> None:
    ready = ["mongodb", "rabbitmq", "qdrant", "cdc"]
    ready += ["airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"]
    expected = {"airflow-db": "done"} | dict.fromkeys(ready, "ready")
    # On a busy machine a heartbeat may be late, which is no more than a moment.
    eventually(lambda: {status.name: status.state for status in stack[0].status()} == expected)


def test_every_process_carries_the_stacks_mark(stack: tuple[LocalStack, Settings]) -> None:
    marked = {process.pid for process in owned_by(stack[1].data)}
    assert {status.pid for status in stack[0].status() if status.pid} <= marked


def test_a_second_up_changes_nothing(stack: tuple[LocalStack, Settings]) -> None:
    before = {status.name: status.pid for status in stack[0].status()}
    assert stack[0].up() is False
    assert {status.name: status.pid for status in stack[0].status()} == before


def test_up_with_other_settings_says_to_restart(stack: tuple[LocalStack, Settings]) -> None:
    other = stack[1].model_copy(update={"sync_schedule": "@continuous"})
    with pytest.raises(LocalStackError, match="llmtwin down"):
        LocalStack(other).up()


def test_airflow_wants_the_generated_password_and_knows_the_connections(stack: tuple[LocalStack, Settings]) -> None:
    settings = stack[1]
    with httpx.Client(base_url=airflow_url(settings), trust_env=False, timeout=30.0) as client:
        assert client.get("/api/v2/dags").status_code == 401
        assert client.post("/auth/token", json={"username": USER, "password": "guess"}).status_code == 401
        login = {"username": USER, "password": airflow_password(settings)}
        token = client.post("/auth/token", json=login).raise_for_status().json()["access_token"]
        pools = client.get("/api/v2/pools", headers={"Authorization": f"Bearer {token}"}).raise_for_status().json()
    assert {pool["name"] for pool in pools["pools"]} > {"default_pool"}


def test_secrets_are_readable_by_their_owner_only(stack: tuple[LocalStack, Settings]) -> None:
    data = stack[1].data
    for name in ("airflow/passwords.json", "airflow/secrets.json", "supervisor/supervisord.conf"):
        assert (data / name).stat().st_mode & 0o077 == 0


def test_everything_listens_on_the_loopback_interface_only(stack: tuple[LocalStack, Settings]) -> None:
    listening: set[str] = set()
    for process in owned_by(stack[1].data):
        with suppress(psutil.NoSuchProcess):  # Airflow's tasks come and go
            connections = process.net_connections(kind="tcp")
            listening |= {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}
    assert "127.0.0.1" in listening
    assert listening <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("name", ["qdrant", "rabbitmq", "airflow-scheduler"])
def test_a_killed_service_comes_back(stack: tuple[LocalStack, Settings], name: str) -> None:
    def pid_when_ready() -> int | None:
        status = next(status for status in stack[0].status() if status.name == name)
        return status.pid if status.state == "ready" else None

    eventually(lambda: pid_when_ready() is not None)
    killed = pid_when_ready()
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: pid_when_ready() not in (None, killed))


def test_the_command_line_shows_the_stack(stack: tuple[LocalStack, Settings]) -> None:
    eventually(lambda: all(status.state in ("ready", "done") for status in stack[0].status()))
    environment = os.environ | settings_environment(stack[1])

    def llmtwin(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "llmtwin.cli", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    status = llmtwin("status")
    assert status.returncode == 0
    assert airflow_password(stack[1]) in status.stdout
    doctor = llmtwin("doctor")
    assert "RabbitMQ: 3." in doctor.stdout or "RabbitMQ: 4." in doctor.stdout
    assert doctor.returncode == 0, doctor.stdout
    assert '"ctx"' in llmtwin("logs", "mongodb", "-n", "5").stdout
    unknown = llmtwin("logs", "nonsense")
    assert unknown.returncode == 1
    assert "no service 'nonsense'" in unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_down_leaves_neither_process_nor_port(stack: tuple[LocalStack, Settings]) -> None:
    started = owned_by(stack[1].data)
    assert len(started) > 8
    assert stack[0].down() is True
    assert owned_by(stack[1].data) == []
    assert not [process for process in started if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert all(is_free(port.number) for port in stack[0].ports())
    assert {status.state for status in stack[0].status()} <= {"stopped", "done"}
    assert stack[0].down() is False


def test_a_taken_port_is_named_with_both_ways_out(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "data")
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", settings.qdrant_port))
        squatter.listen()
        with pytest.raises(PortInUseError) as caught:
            LocalStack(settings).up()
    message = str(caught.value)
    for part in (str(settings.qdrant_port), "qdrant", f"pid {os.getpid()}", "LLMTWIN_QDRANT_PORT", "QDRANT_URL"):
        assert part in message
    assert owned_by(settings.data) == []


def test_two_stacks_run_side_by_side(tmp_path: Path) -> None:
    stacks = [part_of(settings_in(tmp_path / name), "mongodb", "rabbitmq") for name in ("one", "two")]
    try:
        for stack in stacks:
            stack.up()
        stacks[0].down()
        assert {status.state for status in stacks[1].status()} == {"ready"}
    finally:
        for stack in stacks:
            stack.down()


def test_a_service_that_does_not_come_up_is_named_with_its_log_and_the_rest_is_stopped(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "data")
    (settings.data / "mongodb" / "db").mkdir(parents=True)
    (settings.data / "mongodb" / "db" / "WiredTiger.turtle").write_text("not a database")
    with pytest.raises(LocalStackError, match=r"(?s)mongodb does not start:.*mongodb\.log.*WiredTiger"):
        part_of(settings, "mongodb", "qdrant").up()
    assert owned_by(settings.data) == []


def test_what_a_killed_supervisor_left_behind_is_swept_before_the_next_start(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "data")
    stack = part_of(settings, "qdrant")
    try:
        stack.up()
        supervisord = next(p for p in owned_by(settings.data) if "supervisor.supervisord" in p.cmdline())
        supervisord.kill()
        eventually(lambda: not stack.is_running())
        assert owned_by(settings.data) != []
        assert stack.up() is True
        assert {status.state for status in stack.status()} == {"ready"}
    finally:
        stack.down()


def test_ctrl_c_stops_what_was_started(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "data")
    environment = os.environ | settings_environment(settings)
    process = subprocess.Popen(
        [sys.executable, "-m", "llmtwin.cli", "up"],
        env=environment,
        stdout=subprocess.DEVNULL,
        # A shell that runs the tests in its background has them, and what they start, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    eventually(lambda: any(p.name() == "mongod" for p in owned_by(settings.data)))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert owned_by(settings.data) == []
