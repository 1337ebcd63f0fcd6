from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "pymongo", "pika", "qdrant_client", "pydantic", "rich", "httpx", "psutil")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_the_command_line_imports_nothing_heavy() -> None:
    code = f"import sys, llmtwin.cli; print([name for name in {HEAVY} if name in sys.modules])"
    assert run("-c", code).stdout == "[]\n"


def test_an_error_is_one_line_on_standard_error() -> None:
    done = run("-m", "llmtwin.cli", "status", LLMTWIN_EPMD_PORT="many")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: cannot use the settings: LLMTWIN_EPMD_PORT")
    assert len(done.stderr.splitlines()) == 1


def test_status_and_doctor_of_a_stopped_stack_say_what_to_do(tmp_path: Path) -> None:
    assert run("-m", "llmtwin.cli", "status", LLMTWIN_DATA_DIR=str(tmp_path)).returncode == 1
    doctor = run("-m", "llmtwin.cli", "doctor", LLMTWIN_DATA_DIR=str(tmp_path))
    assert doctor.returncode == 1
    assert "✗ stack: not running\n  → run `llmtwin up`" in doctor.stdout
    assert "✓ browser: /" in doctor.stdout
    down = run("-m", "llmtwin.cli", "down", LLMTWIN_DATA_DIR=str(tmp_path))
    assert (down.returncode, down.stdout) == (0, "not running\n")
