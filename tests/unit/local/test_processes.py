from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from llmtwin.local.processes import OWNER, owned_by, stop_owned

SLEEP = "import time; time.sleep(100)"
# A child that leaves its process group and outlives its parent, as epmd does.
ORPHAN = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(100)"


def start(folder: Path, code: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, env=os.environ | {OWNER: str(folder)}, stdout=subprocess.PIPE)


def test_an_orphan_is_still_its_owners(tmp_path: Path) -> None:
    start(tmp_path, ORPHAN).wait()
    assert len(owned_by(tmp_path)) == 1
    stop_owned(tmp_path)
    assert owned_by(tmp_path) == []


def test_another_folders_processes_are_left_alone(tmp_path: Path) -> None:
    mine, theirs = start(tmp_path / "a", SLEEP), start(tmp_path / "ab", SLEEP)
    try:
        stop_owned(tmp_path / "a")
        assert mine.poll() is not None
        assert theirs.poll() is None
    finally:
        stop_owned(tmp_path / "ab")
        theirs.wait()


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    stubborn = start(tmp_path, STUBBORN)
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    stop_owned(tmp_path, timeout=0.3)
    assert stubborn.poll() is not None
    assert owned_by(tmp_path) == []


def test_a_zombie_counts_as_gone(tmp_path: Path) -> None:
    zombie = start(tmp_path, "")
    # Ended, and not yet waited for: its status is left where it is.
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    assert owned_by(tmp_path) == []
    zombie.wait()
