"""A tiny Llama, and runs of it that end as tests want them to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.conftest import HOME
from tests.tiny_llama import save_dataset, save_tiny_llama

from llmtwin import training
from llmtwin.base_model import base_model_path
from llmtwin.settings import Settings
from llmtwin.training import Recipe, Run
from llmtwin.training.journal import Line, curve

# Twice through a few packed sequences, with dropout, so that data order and random numbers matter.
FP32 = {"load_in_4bit": False, "dtype": "float32", "gradient_checkpointing": False}
NF4 = {"load_in_4bit": True, "dtype": "bfloat16", "gradient_checkpointing": True}
SMALL = {
    "max_steps": 6,
    "save_steps": 2,
    "eval_steps": 3,
    "eval_rows": 2,
    "max_length": 96,
    "packing": True,
    "per_device_train_batch_size": 2,
    "lora_r": 8,
    "lora_dropout": 0.1,
}


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny Llama."""
    settings = Settings(home=HOME, models_dir=HOME / ".local" / "models")
    smollm2 = base_model_path(settings, Path(sys.executable))
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama", Path(smollm2))


@pytest.fixture(scope="session")
def settings(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of an installation that serves the tiny Llama and has datasets, shared by the session."""
    with pytest.MonkeyPatch.context() as patch:
        # One thread: another number rounds otherwise, and two processes may share the machine.
        patch.setenv("OMP_NUM_THREADS", "1")
        settings = Settings(
            home=HOME,
            data_dir=tmp_path_factory.mktemp("training"),
            models_dir=HOME / ".local" / "models",
            base_model=str(tiny_llama),
            comet_api_key=None,
        )
        save_dataset(settings.datasets, preferences=8)
        yield settings


@pytest.fixture
def recipe(settings: Settings) -> Callable[..., Recipe]:
    """Return the small recipe, with changes."""
    return lambda **changes: training.read_recipe("smoke", {"base_model": settings.base_model, **SMALL, **changes})


@pytest.fixture(scope="session")
def plain(settings: Settings) -> Run:
    """A run in float32 that nothing interrupted."""
    recipe = training.read_recipe("smoke", {"base_model": settings.base_model, **SMALL, **FP32})
    return training.train(recipe, settings, dataset="Ana Núñez", run_id="plain")


def trainer_of(parent: int | None = None) -> psutil.Process:
    """The training process that this one, or another, has started."""
    children = psutil.Process(parent).children()
    [found] = [child for child in children if "llmtwin.training.trainer" in child.cmdline()]
    return found


def at(step: int, do: Callable[[], Any]) -> Callable[[Line], None]:
    """Return what calls a function once, when training has come to a step."""
    done: list[bool] = []

    def watch(line: Line) -> None:
        if line["step"] >= step and not done:
            done.append(True)
            do()

    return watch


def assert_same_training(one: Run, other: Run) -> None:
    """The same adapter to the last bit, reached on the same way."""
    for metric in ("loss", "eval_loss", "grad_norm", "learning_rate", "tokens"):
        assert curve(one.journal.lines(), metric) == curve(other.journal.lines(), metric), metric
    assert one.adapter_digest == other.adapter_digest
