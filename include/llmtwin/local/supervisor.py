"""supervisor (the process manager from PyPI) as one local stack uses it.

It keeps the stack's processes running after the command that started them has ended, restarts those that die, and
writes and rotates their logs. It answers on a Unix socket that only its user may open.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shlex
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from llmtwin.errors import LocalStackError
from llmtwin.local.servers import tail

# A Unix socket's path has room for 107 characters, and supervisor appends its process id while it creates the socket.
_LONGEST_SOCKET_PATH = 96

# supervisor's own names for what a process is doing, see "Process States" in its manual.
RUNNING = "RUNNING"
EXITED = "EXITED"
FATAL = "FATAL"  # supervisor has given it up
DEAD = frozenset({"BACKOFF", FATAL, EXITED})
AT_REST = frozenset({"STOPPED", FATAL, EXITED})


@dataclass(frozen=True)
class Program:
    """A command that supervisor runs.

    Attributes:
        name: How it is called in commands, messages and its log's file name.
        command: Runs in the foreground.
        environment: What the command needs beyond the environment that all programs share.
        restart: Whether to start it again when it ends.
        stop_group: Whether its children are asked to stop together with it, or left to it.
        stop_seconds: How long it may take to stop before it and its children are killed.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    restart: bool = True
    stop_group: bool = True
    stop_seconds: int = 15


@dataclass(frozen=True)
class ProcessInfo:
    """What supervisor says about a program.

    Attributes:
        state: supervisor's word: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN.
        pid: Its process, 0 when there is none.
        started: When it was last started, in seconds since 1970; 0 when it never was.
        exit_status: How it last ended.
    """

    state: str
    pid: int
    started: int
    exit_status: int


class Supervisor:
    """One supervisord and its programs.

    Args:
        folder: Where its configuration, socket and logs lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self._config = folder / "supervisord.conf"
        self._socket = _socket_path(folder)

    def log_of(self, program: str) -> Path:
        """Return the log file of ``program``."""
        return self.logs / f"{program}.log"

    def start(self, programs: Iterable[Program], environment: Mapping[str, str], timeout: float = 20.0) -> None:
        """Start supervisord with no program running yet.

        Args:
            programs: What it shall look after.
            environment: All variables of its programs.
            timeout: Seconds it may take to answer.

        Raises:
            LocalStackError: It does not start; carries what it wrote.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        self._socket.unlink(missing_ok=True)
        self._config.touch(mode=0o600)
        self._config.write_text(self._render(programs))
        command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(self._config)]
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
        if done.returncode:
            raise LocalStackError(f"supervisord does not start: {(done.stderr or done.stdout).strip()}")
        deadline = time.monotonic() + timeout
        while not self.is_running():
            if time.monotonic() > deadline:
                raise LocalStackError(f"supervisord does not answer:\n{tail(self.log_of('supervisord'))}")
            time.sleep(0.05)

    def is_running(self) -> bool:
        """Tell whether supervisord answers."""
        try:
            self._call("getSupervisorVersion")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def start_program(self, name: str) -> None:
        """Start a program and return at once."""
        self._call("startProcess", name, False)

    def stop_programs(self, names: Iterable[str], timeout: float = 30.0) -> None:
        """Stop programs together and wait for their end; supervisor kills those that take too long."""
        wanted = {name for name, info in self.programs().items() if info.state not in AT_REST} & set(names)
        for name in wanted:
            try:
                self._call("stopProcess", name, False)
            except xmlrpc.client.Fault as fault:
                if "NOT_RUNNING" not in fault.faultString:  # it ended in between
                    raise
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            programs = self.programs()
            if all(programs[name].state in AT_REST for name in wanted):
                return
            time.sleep(0.1)

    def programs(self) -> dict[str, ProcessInfo]:
        """Return what each program is doing, by name."""
        rows = cast(list[dict[str, Any]], self._call("getAllProcessInfo"))
        return {row["name"]: ProcessInfo(row["statename"], row["pid"], row["start"], row["exitstatus"]) for row in rows}

    def shut_down(self) -> None:
        """Stop supervisord and whatever still runs under it, and return at once."""
        self._call("shutdown")

    def remove_socket(self) -> None:
        """Remove what a killed supervisord leaves behind."""
        self._socket.unlink(missing_ok=True)

    def _call(self, method: str, *arguments: str | bool) -> object:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._socket}")
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)

    def _render(self, programs: Iterable[Program]) -> str:
        sections = [
            f"""\
[supervisord]
logfile={_value(self.log_of("supervisord"))}
logfile_maxbytes=1MB
logfile_backups=1
pidfile={_value(self.folder / "supervisord.pid")}
childlogdir={_value(self.logs)}
umask=077
{"user=root" if os.getuid() == 0 else ""}

[unix_http_server]
file={_value(self._socket)}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
        ]
        sections += [self._render_program(program) for program in programs]
        return "\n".join(sections)

    def _render_program(self, program: Program) -> str:
        # `env` instead of supervisor's own `environment=`, which cannot express every character.
        variables = [f"{name}={value}" for name, value in program.environment.items()]
        command = shlex.join(["/usr/bin/env", *variables, *program.command])
        return f"""\
[program:{program.name}]
command={_value(command)}
directory={_value(self.folder)}
autostart=false
autorestart={_flag(program.restart)}
startsecs={2 if program.restart else 0}
startretries=5
stopasgroup={_flag(program.stop_group)}
killasgroup=true
stopwaitsecs={program.stop_seconds}
redirect_stderr=true
stdout_logfile={_value(self.log_of(program.name))}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


def _value(text: str | Path) -> str:
    return str(text).replace("%", "%%")


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _socket_path(folder: Path) -> Path:
    path = folder / "supervisor.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"llmtwin-{digest}.sock"
