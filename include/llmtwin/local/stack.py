"""The local stack: start, stop and look at all services together.

Everything it writes lies in the data folder, every process it starts carries that folder as its mark, and every port is
a setting: two checkouts with different folders and ports run side by side.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from llmtwin.errors import LocalStackError
from llmtwin.local.ports import require_free
from llmtwin.local.processes import owned_by, stop_owned
from llmtwin.local.servers import tail
from llmtwin.local.services import Port, Service, environment, external_servers, services
from llmtwin.local.supervisor import DEAD, EXITED, FATAL, RUNNING, ProcessInfo, Supervisor
from llmtwin.settings import Settings, redacted, settings_environment

State = Literal["ready", "starting", "failed", "stopped", "external", "done"]
Watch = Callable[[str, State], None]

_SETTLED = frozenset({"ready", "done", "external"})
_NOT_STARTED = frozenset({"STOPPED", "STOPPING"})


@dataclass(frozen=True)
class ServiceStatus:
    """How a service is.

    Attributes:
        name: The service.
        state: ``ready`` serves, ``starting`` not yet, ``failed`` ended and is not started again for now, ``stopped``,
            ``external`` is run by somebody else, ``done`` had to run only once.
        pid: Its process, where there is one.
        uptime: Seconds since it was last started, where it runs.
        url: Where clients find it, without user name and password.
    """

    name: str
    state: State
    pid: int | None = None
    uptime: float | None = None
    url: str | None = None


class LocalStack:
    """The services of one installation.

    Args:
        settings: Folders, ports and the URLs of servers that run elsewhere.
        members: The services; all by default.
        with_llm: Whether vLLM and the gateway are among all. Where they run already, they are.
    """

    def __init__(self, settings: Settings, members: list[Service] | None = None, with_llm: bool = False) -> None:
        self._settings = settings
        self.supervisor = Supervisor(settings.data / "supervisor")
        self._services = services(settings, with_llm or self._runs("gateway")) if members is None else members

    def up(self, watch: Watch | None = None, timeout: float | None = None) -> bool:
        """Start what does not run yet and wait until everything is ready.

        On any failure, and on Ctrl-C, what was started is stopped again.

        Args:
            watch: Called with a service's name whenever its state changes.
            timeout: Seconds that all together may take once everything is installed; by default 180, and with an LLM,
                which may be large, 900.

        Returns:
            False if everything was running already.

        Raises:
            PortInUseError: A port is taken; nothing was started.
            LocalStackError: A service does not come up; names it and carries the end of its log.
        """
        timeout = timeout or (900.0 if "vllm" in self.names() else 180.0)
        with self._lock():
            if self.supervisor.is_running():
                if "gateway" in self.names() and not self._runs("gateway"):
                    raise LocalStackError(
                        "the stack is running without an LLM: `llmtwin down`, then `llmtwin up --with-llm`"
                    )
                self._require_same_settings()
                if all(status.state in _SETTLED for status in self.status()):
                    return False
                self._revive()
                self._start_services(watch or _ignore, timeout)
                return True
            self._sweep()  # what a killed supervisor left behind would hold our ports
            self._require_ports()
            try:
                for service in self._services:
                    service.prepare()
                programs = [service.program for service in self._services]
                self.supervisor.start(programs, os.environ | environment(self._settings))
                self._fingerprint_file.write_text(self._fingerprint())
                self._start_services(watch or _ignore, timeout)
            except BaseException:
                self._stop()
                raise
            return True

    def down(self) -> bool:
        """Stop everything and wait until no process is left.

        Returns:
            False if nothing was running.
        """
        with self._lock():
            return self._stop()

    def status(self) -> list[ServiceStatus]:
        """Return how every service is, those that run elsewhere last."""
        programs = self.supervisor.programs() if self.supervisor.is_running() else {}
        own = [self._status(service, programs.get(service.name)) for service in self._services]
        external = [
            ServiceStatus(name, "external", url=redacted(url)) for name, url in external_servers(self._settings).items()
        ]
        return own + external

    def has_other_settings(self) -> bool:
        """Tell whether it runs, with settings or programs other than these."""
        return self.is_running() and self._fingerprint_file.read_text() != self._fingerprint()

    def is_running(self) -> bool:
        """Tell whether the stack was started and not stopped."""
        return self.supervisor.is_running()

    def names(self) -> list[str]:
        """Return the names of the services that run here."""
        return [service.name for service in self._services]

    def ports(self) -> list[Port]:
        """Return every port that the services open."""
        return [port for service in self._services for port in service.ports]

    def _runs(self, name: str) -> bool:
        """Tell whether a service is among those that were started."""
        return self.supervisor.is_running() and name in self.supervisor.programs()

    def _status(self, service: Service, info: ProcessInfo | None) -> ServiceStatus:
        state = _state(service, info)
        url = redacted(service.url) if service.url else None
        if info is None or not info.pid:
            return ServiceStatus(service.name, state, url=url)
        return ServiceStatus(service.name, state, info.pid, time.time() - info.started, url)

    def _revive(self) -> None:
        """Start again what supervisor has given up."""
        for name, info in self.supervisor.programs().items():
            if info.state == FATAL:
                self.supervisor.start_program(name)

    def _start_services(self, watch: Watch, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        states: dict[str, State] = {}
        while len(states) < len(self._services) or not all(state in _SETTLED for state in states.values()):
            programs = self.supervisor.programs()
            for service in self._services:
                if states.get(service.name) in _SETTLED:
                    continue
                state = _state(service, programs[service.name])
                if state == "failed":
                    raise LocalStackError(
                        f"{service.name} does not start:\n{tail(self.supervisor.log_of(service.name))}"
                    )
                if state == "stopped":
                    if not all(states.get(name) in _SETTLED for name in service.needs):
                        continue
                    self.supervisor.start_program(service.name)
                    state = "starting"
                if states.get(service.name) != state:
                    states[service.name] = state
                    watch(service.name, state)
            if time.monotonic() > deadline:
                late = [service.name for service in self._services if states.get(service.name) not in _SETTLED]
                logs = "\n".join(tail(self.supervisor.log_of(name)) for name in late if name in states)
                raise LocalStackError(f"not ready after {timeout:.0f} s: {', '.join(late)}\n{logs}")
            time.sleep(0.1)

    def _stop(self) -> bool:
        was_running = self.supervisor.is_running()
        if was_running:
            # Those that use the servers go first, so that they end in peace; each half stops together.
            users = [service.name for service in self._services if service.needs]
            self.supervisor.stop_programs(users)
            self.supervisor.stop_programs(service.name for service in self._services)
            self.supervisor.shut_down()
        return self._sweep() or was_running

    def _sweep(self) -> bool:
        """Stop every process of this stack, whoever its parent is; tell whether there were any."""
        found = bool(owned_by(self._settings.data))
        stop_owned(self._settings.data)
        self.supervisor.remove_socket()
        return found

    def _require_ports(self) -> None:
        for service in self._services:
            for port in service.ports:
                require_free(port.number, service.name, port.setting, port.url_setting)

    @property
    def _fingerprint_file(self) -> Path:
        return self.supervisor.folder / "settings.sha256"

    def _fingerprint(self) -> str:
        programs = [asdict(service.program) for service in self._services]
        described = json.dumps([programs, settings_environment(self._settings)], sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()

    def _require_same_settings(self) -> None:
        if self.has_other_settings():
            raise LocalStackError(
                "the stack is running with other settings than these: `llmtwin down`, then `llmtwin up`"
            )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._settings.data.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._settings.data / "stack.lock", timeout=0):
                yield
        except Timeout as error:
            raise LocalStackError(
                f"another `llmtwin up` or `llmtwin down` is at work in {self._settings.data}: wait for it to end"
            ) from error


def _state(service: Service, info: ProcessInfo | None) -> State:
    if info is None or info.state in _NOT_STARTED:
        return "done" if service.is_done() else "stopped"
    if info.state in DEAD:
        ended_well = info.state == EXITED and info.exit_status == 0 and not service.program.restart
        return "done" if ended_well else "failed"
    if service.is_ready is not None:
        return "ready" if service.is_ready(info.started) else "starting"
    return "ready" if info.state == RUNNING and service.program.restart else "starting"


def _ignore(name: str, state: State) -> None:
    """Watch nothing."""
