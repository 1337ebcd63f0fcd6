from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmtwin.errors import LocalStackError
from llmtwin.local.processes import OWNER, owned_by, stop_owned
from llmtwin.local.supervisor import EXITED, RUNNING, Program, Supervisor

ODD = """a b"c'd%s%%(x)s,$HOME\\é"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "super visor")
    yield supervisor
    stop_owned(tmp_path)


def program(name: str, code: str, **options: object) -> Program:
    return Program(name, (sys.executable, "-c", code), {"ODD": ODD}, **options)  # type: ignore[arg-type]


def start(supervisor: Supervisor, *programs: Program) -> None:
    supervisor.start(programs, os.environ | {OWNER: str(supervisor.folder.parent)})


def wait_for(supervisor: Supervisor, name: str, state: str) -> None:
    deadline = time.monotonic() + 20
    while supervisor.programs()[name].state != state:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_commands_and_variables_arrive_as_they_are(supervisor: Supervisor) -> None:
    start(supervisor, program("odd", f"import os; print(os.environ['ODD'] == {ODD!r})", restart=False))
    assert supervisor.programs()["odd"].state == "STOPPED"
    supervisor.start_program("odd")
    wait_for(supervisor, "odd", EXITED)
    assert supervisor.programs()["odd"].exit_status == 0
    assert supervisor.log_of("odd").read_text() == "True\n"


def test_a_program_that_ends_is_started_again_unless_it_runs_once(supervisor: Supervisor) -> None:
    start(supervisor, program("ends", "import time; time.sleep(2.5)"), program("once", "", restart=False))
    for name in ("ends", "once"):
        supervisor.start_program(name)
    wait_for(supervisor, "ends", RUNNING)
    first = supervisor.programs()["ends"].pid
    deadline = time.monotonic() + 20
    while supervisor.programs()["ends"].pid in (first, 0):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert supervisor.programs()["once"].state == EXITED


def test_stopping_takes_the_children_along(supervisor: Supervisor) -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(100)'])"
    start(supervisor, program("parent", code))
    supervisor.start_program("parent")
    wait_for(supervisor, "parent", RUNNING)
    before = len(owned_by(supervisor.folder.parent))
    supervisor.stop_programs(["parent"])
    assert before == 3
    assert len(owned_by(supervisor.folder.parent)) == 1  # supervisord itself
    supervisor.shut_down()
    stop_owned(supervisor.folder.parent)
    assert not supervisor.is_running()


def test_a_folder_too_deep_for_a_socket_works(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    supervisor = Supervisor(deep)
    try:
        supervisor.start([], os.environ | {OWNER: str(tmp_path)})
        assert supervisor.is_running()
    finally:
        stop_owned(tmp_path)
        supervisor.remove_socket()


def test_a_configuration_that_supervisor_refuses_is_reported(supervisor: Supervisor) -> None:
    with pytest.raises(LocalStackError, match="supervisord does not start"):
        start(supervisor, Program("x", (sys.executable,), {}, stop_seconds="soon"))  # type: ignore[arg-type]
