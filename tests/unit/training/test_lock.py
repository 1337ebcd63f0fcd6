"""One training at a time."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

from llmtwin.errors import TrainingBusyError
from llmtwin.settings import Settings
from llmtwin.training.lock import _file, only_training, training_now

_HOLD = """
import sys
from pathlib import Path
from llmtwin.settings import Settings
from llmtwin.training.lock import only_training
with only_training(Settings(data_dir=Path(sys.argv[1]), runs_dir=None), "first"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, runs_dir=None)


def test_a_second_one_is_told_which_is_the_first(settings: Settings) -> None:
    command = [sys.executable, "-c", _HOLD, str(settings.data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert training_now(settings) == "first"
        said = rf"run first \(process {other.pid}\) is being trained .*--resume second"
        with pytest.raises(TrainingBusyError, match=said), only_training(settings, "second"):
            pytest.fail("two at once")
        other.kill()
    assert training_now(settings) is None
    with only_training(settings, "second"):
        pass


def test_nothing_is_trained_where_nothing_ever_was(settings: Settings) -> None:
    assert training_now(settings) is None


def test_an_error_of_the_training_is_not_taken_for_a_busy_machine(settings: Settings) -> None:
    with pytest.raises(TimeoutError, match="its own"), only_training(settings, "one"):
        raise TimeoutError("its own")


def test_who_only_looks_is_not_taken_for_a_training(settings: Settings) -> None:
    with only_training(settings, "before"):
        pass
    look = FileLock(_file(settings), thread_local=False)
    look.acquire()
    threading.Timer(0.2, partial(look.release, force=True)).start()
    with only_training(settings, "first"):
        assert training_now(settings) == "first"
