"""``llmtwin train`` and ``llmtwin runs``, as far as they come without training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tiny_llama import save_dataset
from typer.testing import CliRunner

from llmtwin import training
from llmtwin.cli import app
from llmtwin.errors import RecipeError
from llmtwin.settings import SMOLLM2, Settings, get_settings, settings_environment
from llmtwin.training import Status

RUNNER = CliRunner()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The settings of an empty installation, for commands too."""
    settings = Settings(data_dir=tmp_path, runs_dir=None, datasets_dir=None, base_model=SMOLLM2, comet_api_key=None)
    for name, value in settings_environment(settings).items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield settings
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("change", "said"), [("max_steps", "give KNOB=VALUE, say max_steps=20"), ("max_steps=[1", "is no YAML value")]
)
def test_a_change_that_is_none_is_refused(settings: Settings, change: str, said: str) -> None:
    result = RUNNER.invoke(app, ["train", "--dataset", "ana", "--set", change], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert said in result.output


def test_changes_reach_the_recipe(settings: Settings) -> None:
    save_dataset(settings.datasets)
    result = RUNNER.invoke(app, ["train", "--dataset", "ana-nunez", "--set", "lora_r=64", "--set", "name=mine"])
    assert isinstance(result.exception, RecipeError)
    assert "lora_r is 64" in str(result.exception)


def test_there_is_no_run_yet(settings: Settings) -> None:
    result = RUNNER.invoke(app, ["runs"])
    assert result.exit_code == 1
    assert "there is no run yet" in result.output


def test_runs_are_listed_with_what_became_of_them(settings: Settings) -> None:
    save_dataset(settings.datasets)
    recipe = training.read_recipe("smoke")
    training.new_run(recipe, settings, dataset="ana-nunez", run_id="first")
    failed = training.new_run(recipe, settings, dataset="ana-nunez", run_id="second")
    failed.changed(status=Status.FAILED, error="the disk is full")
    failed.journal.append({"stage": "sft", "step": 7, "of": 60, "loss": 3.25, "tokens": 1, "seconds": 90.0})
    running = training.new_run(recipe, settings, dataset="ana-nunez", run_id="third")
    running.changed(status=Status.RUNNING)
    result = RUNNER.invoke(app, ["runs"], env={"COLUMNS": "200"})
    rows = [line.split() for line in result.output.splitlines()]
    assert ["first", "created", "ana-nunez@0123456789ab"] in rows
    assert ["second", "failed", "ana-nunez@0123456789ab", "7", "3.250", "1.5"] in rows
    assert ["third", "interrupted", "ana-nunez@0123456789ab"] in rows
    assert "second failed: the disk is full" in result.output


def test_names_of_runs_are_folded_where_they_are_too_long_and_states_never(settings: Settings) -> None:
    save_dataset(settings.datasets)
    name = "asset_triggered__2026-11-21T19-29-33.070500-00-00-qh3k7c2x-0123abcd"
    run = training.new_run(training.read_recipe("smoke"), settings, dataset="ana-nunez", run_id=name)
    run.changed(status=Status.RUNNING)
    run.journal.append({"stage": "sft", "step": 7, "of": 320, "loss": 3.25, "tokens": 1, "seconds": 90.0})
    lines = RUNNER.invoke(app, ["runs"], env={"COLUMNS": "60"}).output.splitlines()
    assert any({"interrupted", "7", "3.250", "1.5"} <= set(line.split()) for line in lines)
    assert "".join(line.split()[0] for line in lines if not line.startswith(" ")).endswith(name)
