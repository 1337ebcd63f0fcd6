"""Finding and stopping the processes of one local stack, and no others.

Every process that the stack or a test starts carries its owner's folder in the environment variable ``LLMTWIN_OWNER``.
Children inherit it, also those that leave their process group (Erlang's ``epmd``, Airflow's task runners), so nothing
has to be guessed from names or ports.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from llmtwin.errors import LocalStackError

OWNER = "LLMTWIN_OWNER"

_ROUNDS = 5


def owned_by(folder: Path) -> list[psutil.Process]:
    """Return the living processes that were started for ``folder``, without this one and its ancestors."""
    mark = str(folder)
    this = psutil.Process()
    kin = {this.pid, *(ancestor.pid for ancestor in this.parents())}
    owned = []
    for process in psutil.process_iter():
        # Processes of other users hide their environment, and any may end while it is looked at.
        with contextlib.suppress(psutil.AccessDenied, psutil.NoSuchProcess):
            if process.pid not in kin and process.environ().get(OWNER) == mark and is_alive(process):
                owned.append(process)
    return owned


def is_alive(process: psutil.Process) -> bool:
    """Tell whether ``process`` still runs; a zombie that waits for its parent does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop_processes(processes: Iterable[psutil.Process], timeout: float = 10.0) -> None:
    """Ask ``processes`` to end (SIGTERM), and end them (SIGKILL) when they have not within ``timeout`` seconds."""
    alive = list(processes)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    deadline = time.monotonic() + timeout
    while (alive := [process for process in alive if is_alive(process)]) and time.monotonic() < deadline:
        psutil.wait_procs(alive, timeout=0.1)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=timeout)


def stop_owned(folder: Path, timeout: float = 10.0) -> None:
    """Stop every process started for ``folder``, also those that were started while the others were being stopped.

    Raises:
        LocalStackError: A process cannot be ended.
    """
    for _ in range(_ROUNDS):
        processes = owned_by(folder)
        if not processes:
            return
        stop_processes(processes, timeout)
    if left := owned_by(folder):
        pids = ", ".join(str(process.pid) for process in left)
        raise LocalStackError(f"processes {pids} of {folder} do not end, even when killed: look at them with `ps`")
