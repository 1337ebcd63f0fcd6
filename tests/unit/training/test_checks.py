"""What is refused before training begins."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_llama import save_dataset

from llmtwin.errors import DatasetError, LlmtwinError, RecipeError, TrainingError
from llmtwin.settings import SMOLLM2, Settings
from llmtwin.training import Recipe, Status, new_run, next_run, open_run, read_recipe, register, runs, waiting


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a dataset of Ana Núñez."""
    settings = Settings(data_dir=tmp_path, runs_dir=None, datasets_dir=None, base_model=SMOLLM2, vllm_max_lora_rank=16)
    save_dataset(settings.datasets)
    return settings


def recipe(**changes: Any) -> Recipe:
    return read_recipe("smoke", changes)


def test_a_run_is_a_folder_that_says_what_is_trained_from_what(settings: Settings) -> None:
    run = new_run(recipe(), settings, dataset="Ana Núñez")
    assert (run.status, run.author, run.dataset) == (Status.CREATED, "Ana Núñez", "ana-nunez@0123456789ab")
    assert run.run_id.startswith("smoke-")
    assert open_run(settings, run.run_id) == run
    assert runs(settings) == [run]
    assert run.read_recipe() == recipe(dataset=run.dataset)
    assert run.recipe_digest == run.read_recipe().digest
    assert run.code_revision is None or len(run.code_revision.removesuffix("-dirty")) == 40


def test_the_same_name_is_the_same_run_and_no_other(settings: Settings) -> None:
    first = new_run(recipe(), settings, dataset="ana-nunez", run_id="manual__2026-11-21T10:00:00+00:00")
    assert first.run_id == "manual__2026-11-21T10-00-00-00-00-c6288252"
    assert new_run(recipe(), settings, dataset="ana-nunez", run_id="manual__2026-11-21T10:00:00+00:00") == first
    with pytest.raises(TrainingError, match=r"is another one \(smoke, ana-nunez@0123456789ab\): choose another name"):
        new_run(recipe(seed=1), settings, dataset="ana-nunez", run_id=first.run_id)


def test_names_of_any_letters_are_folders_of_their_own(settings: Settings) -> None:
    names = ("日本語", "中文", "a b", "a+b", "a-b", "..", "_x", "/")
    made = [new_run(recipe(), settings, dataset="ana-nunez", run_id=name) for name in names]
    assert len({run.run_id for run in made}) == len(names)
    assert {run.folder.parent for run in made} == {settings.runs}
    assert runs(settings) == sorted(made, key=lambda run: (run.created_at, run.run_id))
    assert made[4].run_id == "a-b"


def test_a_run_that_nobody_asked_for_is_about_the_dataset_that_waits_longest(settings: Settings) -> None:
    for minute, name, train in ((3, "zoe", 4), (1, "empty", 0), (2, "ben", 4)):
        built(settings, name, train, minute)
    new_run(recipe(), settings, dataset="ana-nunez", run_id="by hand")
    assert [dataset.name for dataset in waiting(recipe(), settings)] == ["ben", "zoe"]
    first = next_run(recipe(), settings, "asset_triggered: 1")
    assert first is not None
    assert first.dataset.startswith("ben@")
    first.changed(status=Status.FAILED)
    assert next_run(recipe(), settings, "asset_triggered: 1") == first.changed(status=Status.FAILED)
    second = next_run(recipe(), settings, "asset_triggered: 2")
    assert second is not None
    assert second.dataset.startswith("zoe@")
    assert waiting(recipe(), settings) == []
    with pytest.raises(DatasetError, match=r"empty@.* has no examples to train on"):
        next_run(recipe(), settings, "asset_triggered: 3")
    shutil.rmtree(settings.datasets / "empty")
    assert next_run(recipe(), settings, "asset_triggered: 3") is None


def built(settings: Settings, name: str, train: int, minute: int) -> None:
    folder = save_dataset(settings.datasets, name=name, train=train)
    times = [{"version": folder.name, "built_at": f"2026-11-21T10:{minute:02}:00Z"}]
    (folder.parent / "builds.json").write_text(json.dumps(times))


@pytest.mark.parametrize(
    ("dataset", "error", "said"),
    [
        ("nobody", DatasetError, "there is no dataset 'nobody': there is ana-nunez"),
        ("ana-nunez@ba9876543210", DatasetError, "there is no version 'ba9876543210' .*: there is 0123456789ab"),
        (None, RecipeError, "recipe smoke names no dataset"),
    ],
)
def test_a_dataset_that_does_not_exist_is_told_with_those_that_do(
    settings: Settings, dataset: str | None, error: type[LlmtwinError], said: str
) -> None:
    with pytest.raises(error, match=said):
        new_run(recipe(), settings, dataset=dataset)
    assert runs(settings) == []


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        (
            {"lora_r": 32},
            RecipeError,
            "lora_r is 32, and vLLM is set to serve 16 at most: .*LLMTWIN_VLLM_MAX_LORA_RANK",
        ),
        (
            {"base_model": "meta-llama/Llama-3.1-8B-Instruct"},
            RecipeError,
            "'HuggingFaceTB/SmolLM2-135M-Instruct' is served, .*LLMTWIN_BASE_MODEL=meta-llama/Llama-3.1-8B-Instruct",
        ),
        ({"lora_target_modules": ["q_proj", "c_attn"]}, RecipeError, "lora_target_modules: c_attn"),
        ({"dpo": True}, DatasetError, "no preferences/train.parquet"),
        (
            {"num_processes": 2, "accelerate_config": "nowhere"},
            RecipeError,
            "accelerate_config: there is no file nowhere",
        ),
    ],
)
def test_what_could_not_be_served_is_not_trained(
    settings: Settings, changes: dict[str, Any], error: type[LlmtwinError], said: str
) -> None:
    with pytest.raises(error, match=said):
        new_run(recipe(**changes), settings, dataset="ana-nunez")
    assert runs(settings) == []


def test_a_dataset_without_examples_is_refused(settings: Settings) -> None:
    save_dataset(settings.datasets, train=0, name="ana-vacia")
    with pytest.raises(DatasetError, match="ana-vacia@0123456789ab has no examples to train on"):
        new_run(recipe(), settings, dataset="ana-vacia")


def test_a_run_that_is_not_finished_is_not_registered(settings: Settings) -> None:
    run = new_run(recipe(), settings, dataset="ana-nunez")
    with pytest.raises(TrainingError, match=f"run {run.run_id} is created: .*--resume {run.run_id}"):
        register(run, settings)
    failed = run.changed(status=Status.FAILED, error="the disk is full")
    with pytest.raises(TrainingError, match=r"is failed \(the disk is full\)"):
        register(failed, settings)


@pytest.mark.parametrize("run_id", ["nothing", "../runs", "", ".."])
def test_a_run_that_does_not_exist_is_said(settings: Settings, run_id: str) -> None:
    new_run(recipe(), settings, dataset="ana-nunez", run_id="first")
    with pytest.raises(TrainingError, match=r"there is no run .*the last ones: first"):
        open_run(settings, run_id)


def test_a_damaged_run_is_named(settings: Settings) -> None:
    run = new_run(recipe(), settings, dataset="ana-nunez")
    (run.folder / "run.json").write_text('{"run_id": "x"')
    with pytest.raises(TrainingError, match=r"run\.json is damaged"):
        open_run(settings, run.run_id)
