"""The training process: started, followed line by line, and understood when it ends.

A process of its own, so that whatever happens to it (out of memory, a crash in a kernel) happens to nothing else, its
memory is given back, and accelerate can start one for each GPU. It ends by itself when whoever started it is gone:
then its standard input is at its end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

import orjson

from llmtwin import errors
from llmtwin.errors import TrainingError, TrainingMemoryError
from llmtwin.settings import Settings, settings_environment
from llmtwin.training import memory
from llmtwin.training.journal import Line
from llmtwin.training.recipe import Recipe, accelerate_config
from llmtwin.training.run import Run

FAILURE = "failure.json"
# The exit code of a process that could not even write that. sysexits.h, EX_CANTCREAT.
NO_SPACE = 73
# The classes in which the process may say what went wrong; others have more to them than a message.
_SAID = {"DatasetError", "LocalStackError", "RecipeError", "SettingsError", "TrainingMemoryError"}
# What torch's launcher prints of one of its processes; it ends with exit code 1 itself.
_KILLED = "Signal 9 (SIGKILL) received"
_POLL_SECONDS = 0.25
_STOP_SECONDS = 20.0


def lines_of(
    run: Run, recipe: Recipe, settings: Settings, stage: str, checkpoint: Path | None
) -> Generator[Line, None, None]:
    """Train; yield the lines of the journal, from its beginning on, as they come.

    Args:
        run: What to train; its journal has been cut back to the checkpoint.
        recipe: The run's own.
        settings: Of this installation, which the process is to have too.
        stage: Where to go on.
        checkpoint: Of that stage; None: from its beginning.

    Raises:
        LlmtwinError: What the process says went wrong, in its own class.
        TrainingMemoryError: It was killed, most likely for lack of memory.
        TrainingError: It ended in some other way; names its log.
    """
    (run.folder / FAILURE).unlink(missing_ok=True)
    follower = run.journal.follow()
    with run.log.open("ab") as log:
        began = log.tell()
        process = _start(run, recipe, settings, log, [stage, str(checkpoint or "")])
        try:
            while process.poll() is None:
                yield from follower
                time.sleep(_POLL_SECONDS)
        finally:
            _stop(process)
    yield from follower
    if process.returncode:
        raise _failure(run, recipe, process.returncode, began)


def _start(
    run: Run, recipe: Recipe, settings: Settings, log: BinaryIO, arguments: list[str]
) -> subprocess.Popen[bytes]:
    launcher = [sys.executable]
    if recipe.num_processes > 1:
        config = accelerate_config(recipe)
        launcher += ["-m", "accelerate.commands.launch", "--num_processes", str(recipe.num_processes)]
        launcher += ["--config_file", str(config)] if config else []
    offline = {"HF_HUB_OFFLINE": "1"} if Path(recipe.base_model).expanduser().is_dir() else {}
    environment = os.environ | settings_environment(settings) | offline
    environment |= {
        "OMP_NUM_THREADS": str(run.threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
    }
    # A group of its own, so that all processes of accelerate can be stopped, and Ctrl-C is for us alone.
    return subprocess.Popen(
        [*launcher, "-m", "llmtwin.training.trainer", str(run.folder), *arguments],
        cwd=run.folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and those it started, if they have not ended by themselves."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdin:
        process.stdin.close()


def disk_is_full(folder: Path) -> TrainingError:
    """Return what to do about a run that has no room."""
    return TrainingError(
        f"the disk is full: {folder} cannot grow. Make room, then `llmtwin train --resume {folder.name}` goes on "
        "from the last complete checkpoint"
    )


def _failure(run: Run, recipe: Recipe, code: int, began: int) -> errors.LlmtwinError:
    """Return what went wrong, by what the process wrote down, else by its exit code and the log from ``began`` on."""
    try:
        said = orjson.loads((run.folder / FAILURE).read_bytes())
    except (FileNotFoundError, ValueError):
        said = None
    if said:
        return (
            getattr(errors, said["error"])(said["message"])
            if said["error"] in _SAID
            else TrainingError(said["message"])
        )
    if code == NO_SPACE:
        return disk_is_full(run.folder)
    resume = f"`llmtwin train --resume {run.run_id}` goes on from the last checkpoint"
    if code in (-signal.SIGKILL, 128 + signal.SIGKILL) or _KILLED.encode() in run.log.read_bytes()[began:]:
        return TrainingMemoryError(
            "the training process was killed; unless somebody did that, the kernel did, for lack of memory: "
            f"{memory.advice(recipe)}. With the recipe as it is, {resume}"
        )
    return TrainingError(f"the training process ended with exit code {code}; {run.log} says more, and {resume}")
