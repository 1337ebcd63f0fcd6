"""Experiments recorded without an account, and read back."""

from __future__ import annotations

import getpass
import math
import os
import re
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from llmtwin.errors import TrackingError
from llmtwin.settings import Settings
from llmtwin.tracking import experiment, experiments, log_files, read_experiment


@pytest.fixture
def offline(tmp_path: Path) -> Settings:
    """Settings without a key, whatever the user's environment says."""
    return Settings(data_dir=tmp_path, comet_api_key=None, comet_dir=None, comet_project="voices")


def record(settings: Settings, name: str = "first", key: str | None = None) -> str:
    """Record a small experiment; return its key."""
    with experiment(settings, name, ["ana", "smoke"], key=key) as comet:
        comet.log_parameters({"learning_rate": 1e-3, "lora": {"r": 16}, "targets": ["q_proj", "v_proj"]})
        comet.log_metrics({"loss": 3.0, "accuracy": 0.5}, step=1)
        comet.log_metrics({"loss": 2.5}, step=2)
        with comet.context_manager("eval"):
            comet.log_metric("loss", 2.75, step=2)
        comet.log_other("dataset", "ana@0123")
        return str(comet.get_key())


def test_what_was_logged_is_read_back(offline: Settings) -> None:
    key = record(offline)
    read = read_experiment(offline, key)
    assert (read.key, read.name, read.project, read.tags) == (key, "first", "voices", ("ana", "smoke"))
    assert read.parameters == {"learning_rate": "0.001", "lora|r": "16", "targets": "['q_proj', 'v_proj']"}
    assert {name: [(point.step, point.value) for point in points] for name, points in read.metrics.items()} == {
        "loss": [(1, 3.0), (2, 2.5)],
        "accuracy": [(1, 0.5)],
        "eval_loss": [(2, 2.75)],
    }
    assert read.others == {"dataset": "ana@0123"}
    assert (read.last("loss"), read.last("unknown")) == (2.5, None)


def test_a_loss_that_is_no_number_stays_so(offline: Settings) -> None:
    with experiment(offline, "diverged") as comet:
        comet.log_metrics({"loss": float("nan")}, step=1)
        comet.log_metrics({"loss": float("inf")}, step=2)
    nan, infinite = read_experiment(offline, "diverged").metrics["loss"]
    assert math.isnan(nan.value)
    assert infinite.value == math.inf


def test_files_are_kept_with_their_content(offline: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    (folder / "sft").mkdir(parents=True)
    (folder / "README.md").write_text("# Texts of Ana Núñez")
    (folder / "sft" / "train.parquet").write_bytes(b"\x00PAR1\xff")
    with experiment(offline, "data") as comet:
        log_files(comet, "dataset ana@0123", "dataset", folder, {"version": "0123"})
        comet.log_asset_data("<p>report</p>", name="report.html")
    read = read_experiment(offline, "data")
    assert read.read("dataset-ana-0123/sft/train.parquet") == b"\x00PAR1\xff"
    assert read.read("dataset-ana-0123/README.md").decode() == "# Texts of Ana Núñez"
    assert read.read("report.html") == b"<p>report</p>"
    with pytest.raises(TrackingError, match=r"no asset 'other': .*report\.html"):
        read.read("other")


def test_an_archive_tells_nothing_of_the_machine_and_its_user(offline: Settings) -> None:
    key = record(offline)
    with zipfile.ZipFile(offline.experiments / f"{key}.zip") as archive:
        content = b"\n".join(archive.read(name) for name in archive.namelist()).decode()
    kinds = set(re.findall(r'"type":"(\w+)"', content))
    assert kinds == {"log_other", "parameter_msg", "metric_msg"}
    for private in (socket.gethostname(), sys.executable, f'"{getpass.getuser()}"', str(Path.cwd()), "pip"):
        assert private not in content


def test_an_experiment_that_fails_is_kept_and_says_why(offline: Settings) -> None:
    with pytest.raises(KeyError), experiment(offline, "broken") as comet:
        comet.log_metrics({"loss": 3.0}, step=1)
        raise KeyError("missing")
    read = read_experiment(offline, "broken")
    assert read.others["failed"] == "KeyError: 'missing'"
    assert read.last("loss") == 3.0


def test_an_experiment_gone_on_with_takes_the_place_of_the_first(offline: Settings) -> None:
    key = record(offline)
    assert record(offline, "again", key=key) == key
    assert [(found.key, found.name) for found in experiments(offline)] == [(key, "again")]


def test_experiments_are_found_by_key_its_beginning_name_and_path(offline: Settings, tmp_path: Path) -> None:
    first, second = record(offline), record(offline, "second")
    moved = tmp_path / "elsewhere.zip"
    moved.write_bytes((offline.experiments / f"{second}.zip").read_bytes())
    for given in (second, second[:12], "second", str(moved)):
        assert read_experiment(offline, given).key == second
    assert [found.key for found in experiments(offline)] == [first, second]
    record(offline, "second")
    with pytest.raises(TrackingError, match=f"several experiments fit 'second': give one of the keys .*{second}"):
        read_experiment(offline, "second")
    with pytest.raises(TrackingError, match="no experiment 'third' in"):
        read_experiment(offline, "third")


def test_no_experiment_was_recorded_yet(offline: Settings) -> None:
    assert experiments(offline) == []


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"no zip"], ids=["empty", "no files", "garbage"])
def test_a_damaged_archive_is_named_and_does_not_hide_the_others(offline: Settings, content: bytes) -> None:
    key = record(offline)
    damaged = offline.experiments / "damaged.zip"
    damaged.write_bytes(content)
    assert [found.key for found in experiments(offline)] == [key]
    with pytest.raises(TrackingError, match=r"damaged\.zip is no archive of an offline experiment, or damaged"):
        read_experiment(offline, str(damaged))
    with pytest.raises(TrackingError, match=r"there is no archive .*missing\.zip"):
        read_experiment(offline, str(offline.experiments / "missing.zip"))


_KILLED = """
import os, signal, sys
from pathlib import Path
from llmtwin.settings import Settings
from llmtwin.tracking import experiment
with experiment(Settings(data_dir=Path(sys.argv[1]), comet_api_key=None, comet_dir=None), "killed") as comet:
    comet.log_metrics({"loss": 3.0}, step=1)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_leaves_no_half_archive(offline: Settings) -> None:
    key = record(offline)
    done = subprocess.run([sys.executable, "-c", _KILLED, str(offline.data)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [found.key for found in experiments(offline)] == [key]


_FULL = """
import resource, sys
from pathlib import Path
from llmtwin.settings import Settings
from llmtwin.tracking import experiment
with experiment(Settings(data_dir=Path(sys.argv[1]), comet_api_key=None, comet_dir=None), "full") as comet:
    comet.log_asset_data("x" * 10_000, name="large.txt")
    comet.flush()
    # From here on no file can grow beyond this: as on a full disk, but without one.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
"""


def test_a_full_disk_is_said_and_the_others_stay(offline: Settings) -> None:
    key = record(offline)
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", _FULL, str(offline.data)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "TrackingError: the experiment could not be written to" in done.stderr
    assert [found.key for found in experiments(offline)] == [key]


def test_comets_own_program_reads_the_archive(offline: Settings) -> None:
    """It reads what it would send; `comet upload` begins in the same way."""
    key = record(offline)
    archive = offline.experiments / f"{key}.zip"
    program = Path(sys.executable).with_name("comet")
    done = subprocess.run([program, "offline", str(archive)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for said in (key, "loss", "learning_rate"):
        assert said in done.stdout
