"""How a training process says what went wrong when it can hardly say anything."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.training.conftest import FP32

from llmtwin import training
from llmtwin.errors import TrainingError, TrainingMemoryError
from llmtwin.settings import Settings, settings_environment
from llmtwin.training import Recipe, Run
from llmtwin.training.process import _failure

_KILLS_ITSELF = """
import os, signal, time
if os.environ["RANK"] == "1":
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(60)
"""


@pytest.fixture
def run(recipe: Callable[..., Recipe], settings: Settings, request: pytest.FixtureRequest) -> Run:
    return training.new_run(recipe(**FP32, num_processes=2), settings, dataset="ana-nunez", run_id=request.node.name)


def test_a_disk_without_room_for_a_word_is_told_by_the_exit_code(run: Run, settings: Settings) -> None:
    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    command = [sys.executable, "-m", "llmtwin.training.trainer", str(run.folder), "sft", ""]
    environment = os.environ | settings_environment(settings)
    with subprocess.Popen(
        command, env=environment, preexec_fn=fill, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert not run.checkpoints.exists()
    assert process.returncode == 73, said
    with pytest.raises(TrainingError, match="the disk is full"):
        raise _failure(run, run.read_recipe(), process.returncode, 0)


def test_one_of_several_processes_that_the_kernel_kills_had_too_little_memory(run: Run, tmp_path: Path) -> None:
    (tmp_path / "victim.py").write_text(_KILLS_ITSELF)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(tmp_path / "victim.py")]
    with run.log.open("ab") as log:
        code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    assert code == 1
    with pytest.raises(TrainingMemoryError, match="was killed; unless somebody"):
        raise _failure(run, run.read_recipe(), code, 0)
    # What an earlier attempt printed tells nothing of this one.
    with pytest.raises(TrainingError, match="ended with exit code 1") as raised:
        raise _failure(run, run.read_recipe(), code, run.log.stat().st_size)
    assert not isinstance(raised.value, TrainingMemoryError)
