"""One run in several processes, as accelerate starts one for each GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from tests.integration.training.conftest import FP32

from llmtwin import training
from llmtwin.errors import RecipeError
from llmtwin.registry import read_adapter
from llmtwin.settings import Settings, settings_environment
from llmtwin.training import Recipe
from llmtwin.training.checkpoints import newest
from llmtwin.training.journal import curve


def test_two_processes_share_the_work_and_write_everything_once(
    recipe: Callable[..., Recipe], settings: Settings
) -> None:
    small = recipe(**FP32, num_processes=2, max_steps=2)
    run = training.new_run(small, settings, dataset="ana-nunez", run_id="two-processes")
    # accelerate starts several processes on GPUs only; beneath, it is this program that does.
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    environment = os.environ | settings_environment(settings) | {"ACCELERATE_USE_CPU": "true"}
    command = [*launcher, "-m", "llmtwin.training.trainer", str(run.folder), "sft", ""]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = process.stderr.read().decode()  # not communicate(), which would close standard input, and so end it
    assert process.returncode == 0, said
    assert [step for _, step, _ in curve(run.journal.lines())] == [1, 2]
    checkpoint = newest(run.checkpoints / "sft")
    assert checkpoint is not None
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {file.name for file in checkpoint.iterdir()}
    assert read_adapter(run.adapter).rank == 8


def test_a_machine_without_that_many_gpus_is_told_so(recipe: Callable[..., Recipe], settings: Settings) -> None:
    several = recipe(**FP32, num_processes=2)
    with pytest.raises(RecipeError, match="num_processes is 2, and there are 1: is there a GPU for each"):
        training.train(several, settings, dataset="ana-nunez", run_id="too-few")
