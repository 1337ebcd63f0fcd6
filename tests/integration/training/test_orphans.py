"""Whoever started a training is killed: the training ends, and can be gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest
from tests.integration.training.conftest import FP32, assert_same_training, trainer_of

from llmtwin import training
from llmtwin.settings import Settings, settings_environment
from llmtwin.training import Recipe, Run, Status


def test_a_run_ends_with_the_process_that_started_it(
    recipe: Callable[..., Recipe], settings: Settings, plain: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run = training.new_run(recipe(**FP32), settings, dataset="ana-nunez", run_id="orphan")
    environment = os.environ | settings_environment(settings)
    command = [sys.executable, "-m", "llmtwin.cli", "train", "--resume", run.run_id]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as parent:
        while not any(line["step"] >= 3 for line in run.journal.lines()):
            assert parent.poll() is None
            time.sleep(0.1)
        assert training.training_now(settings) == "orphan"
        child = trainer_of(parent.pid)
        parent.send_signal(signal.SIGKILL)
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running()
    assert training.training_now(settings) is None
    interrupted = training.open_run(settings, "orphan")
    assert interrupted.status is Status.RUNNING
    done = subprocess.run(
        [sys.executable, "-m", "llmtwin.cli", "runs"], env=environment, capture_output=True, text=True, check=True
    )
    assert any("orphan" in line and "interrupted" in line for line in done.stdout.splitlines())
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "is a candidate" in done.stdout
    assert_same_training(training.open_run(settings, "orphan"), plain)
