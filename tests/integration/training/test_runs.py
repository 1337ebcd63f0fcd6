"""Runs from their beginning to a candidate, and how they end otherwise."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.training.conftest import FP32, NF4, assert_same_training, at, trainer_of
from tests.tiny_llama import AUTHOR, save_dataset, save_tiny_llama

from llmtwin import tracking, training
from llmtwin.errors import RecipeError, TrainingBusyError, TrainingError, TrainingMemoryError
from llmtwin.registry import Registry
from llmtwin.registry.version import Status as VersionStatus
from llmtwin.settings import Settings
from llmtwin.tracking import read_experiment
from llmtwin.training import Recipe, Run, Status
from llmtwin.training.journal import curve

Recipes = Callable[..., Recipe]


def test_a_run_ends_with_an_adapter_and_says_where_it_came_from(plain: Run, settings: Settings) -> None:
    assert plain.status is Status.FINISHED
    assert training.open_run(settings, "plain") == plain
    assert sorted(file.name for file in plain.adapter.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "complete.json",
    ]
    config = json.loads((plain.adapter / "adapter_config.json").read_bytes())
    assert (config["r"], config["base_model_name_or_path"]) == (8, settings.base_model)
    assert plain.facts is not None
    assert plain.facts.base_model_revision.startswith("sha256:")
    assert plain.facts.trainable_parameters < plain.facts.total_parameters / 10
    assert plain.facts.libraries["trl"]
    assert [step for _, step, _ in curve(plain.journal.lines())] == [1, 2, 3, 4, 5, 6]
    assert [step for _, step, _ in curve(plain.journal.lines(), "eval_loss")] == [0, 3, 6]
    assert plain.metrics["eval_loss"] < plain.metrics["eval_loss_before"]


def test_it_is_recorded_so_that_it_can_be_compared(plain: Run, settings: Settings) -> None:
    assert plain.experiment is not None
    recorded = read_experiment(settings, plain.experiment)
    assert recorded.name == "plain"
    assert recorded.parameters["learning_rate"] == str(plain.read_recipe().learning_rate)
    losses = [(point.step, point.value) for point in recorded.metrics["loss"]]
    assert losses == [(step, loss) for _, step, loss in curve(plain.journal.lines())]
    for field in ("dataset", "dataset_digest", "recipe_digest", "code_revision"):
        assert recorded.others[field] == getattr(plain, field)
    assert recorded.others["base_model_revision"] == plain.facts.base_model_revision  # type: ignore[union-attr]
    weights = (plain.adapter / "adapter_model.safetensors").read_bytes()
    assert recorded.read("adapter-plain/adapter_model.safetensors") == weights


def test_it_becomes_one_candidate_with_its_lineage(plain: Run, settings: Settings) -> None:
    version = training.register(plain, settings)
    assert training.register(training.open_run(settings, "plain"), settings) == version
    known = [
        found for found in Registry(settings.registry).versions() if found.lineage and found.lineage.run_id == "plain"
    ]
    assert known == [version]
    assert version.status is VersionStatus.CANDIDATE
    assert version.lineage is not None
    assert (version.lineage.author, version.lineage.run_id) == (AUTHOR, "plain")
    assert version.lineage.dataset_digest == plain.dataset_digest
    assert version.lineage.metrics["eval_loss"] == plain.metrics["eval_loss"]
    assert training.open_run(settings, "plain").version == version.version


def test_a_finished_run_is_not_trained_again(plain: Run, settings: Settings) -> None:
    assert training.resume(plain, settings) == plain
    assert training.open_run(settings, "plain").attempts == 1


@pytest.mark.parametrize("precision", [FP32, NF4], ids=["float32", "nf4-bfloat16"])
def test_a_run_whose_process_is_killed_goes_on_as_if_nothing_had_been(
    recipe: Recipes, settings: Settings, plain: Run, precision: dict[str, object]
) -> None:
    small = recipe(**precision)
    name = f"killed-{small.dtype}"
    whole = (
        plain
        if precision is FP32
        else training.train(small, settings, dataset="ana-nunez", run_id=f"whole-{small.dtype}")
    )
    with pytest.raises(TrainingMemoryError, match=f"killed; unless somebody .*--resume {name}"):
        training.train(small, settings, dataset="ana-nunez", run_id=name, watch=at(3, lambda: trainer_of().kill()))
    failed = training.open_run(settings, name)
    assert (failed.status, failed.attempts) == (Status.FAILED, 1)
    run = training.resume(failed, settings)
    assert (run.status, run.attempts, run.error) == (Status.FINISHED, 2, None)
    assert_same_training(run, whole)
    recorded = read_experiment(settings, str(run.experiment))
    assert [point.step for point in recorded.metrics["loss"]] == [1, 2, 3, 4, 5, 6]


def test_what_was_sent_to_comet_before_a_kill_is_not_sent_again(
    recipe: Recipes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No Comet to go on with here: an archive, written anew, shows what the second attempt sends.
    small = recipe(**FP32, save_steps=4)
    with pytest.raises(TrainingMemoryError):
        training.train(small, settings, dataset="ana-nunez", run_id="sent", watch=at(3, lambda: trainer_of().kill()))
    failed = training.open_run(settings, "sent")
    before = {step for _, step, _ in curve(failed.journal.lines())}
    assert {1, 2, 3} <= before
    monkeypatch.setattr(tracking, "is_online", lambda comet: True)
    run = training.resume(failed, settings)
    assert [step for _, step, _ in curve(run.journal.lines())] == [1, 2, 3, 4, 5, 6]
    sent = [point.step for point in read_experiment(settings, str(run.experiment)).metrics["loss"]]
    assert sent == sorted({1, 2, 3, 4, 5, 6} - before)


def test_a_disk_that_fills_up_in_a_checkpoint_costs_the_steps_since_the_one_before(
    recipe: Recipes, settings: Settings, plain: Run
) -> None:
    def fill() -> None:
        # No file can grow beyond this: as on a full disk. The optimizer's state is larger, the adapter is not.
        resource.prlimit(trainer_of().pid, resource.RLIMIT_FSIZE, (70_000, 70_000))

    small = recipe(**FP32)
    with pytest.raises(TrainingError, match=r"the disk is full: .*--resume full` goes on from the last complete"):
        training.train(small, settings, dataset="ana-nunez", run_id="full", watch=at(3, fill))
    full = training.open_run(settings, "full")
    assert [path.name for path in (full.checkpoints / "sft").glob("checkpoint-*")] == ["checkpoint-2"]
    assert full.error is not None
    assert "the disk is full" in full.error
    assert_same_training(training.resume(full, settings), plain)


def test_out_of_memory_says_which_knobs_to_turn(recipe: Recipes, settings: Settings) -> None:
    def starve() -> None:
        process = trainer_of()
        used = process.memory_info().vms
        resource.prlimit(process.pid, resource.RLIMIT_AS, (used, used))

    big = recipe(**FP32, packing=False, max_length=1024, per_device_train_batch_size=16, eval_rows=0, lora_dropout=0.0)
    said = (
        "memory ran out: in recipe smoke, in this order: gradient_checkpointing: true .*per_device_train_batch_size: 8"
    )
    with pytest.raises(TrainingMemoryError, match=said):
        training.train(big, settings, dataset="ana-nunez", run_id="starved", watch=at(1, starve))


@pytest.mark.parametrize("evaluated", [True, False], ids=["in its loss", "in its weights alone"])
def test_a_run_that_diverges_ends_there_and_its_adapter_is_no_candidate(
    recipe: Recipes, settings: Settings, evaluated: bool
) -> None:
    # Decay that makes every weight infinite with the first step.
    steps = {"eval_rows": 2, "max_steps": 6} if evaluated else {"eval_rows": 0, "max_steps": 1}
    wild = recipe(**FP32, **steps, weight_decay=1e39, learning_rate=1, warmup_steps=0)
    name = f"diverged-{evaluated}"
    seen: list[dict[str, object]] = []
    with pytest.raises(RecipeError, match=r"diverged: .*lower learning_rate \(1\.0\), or more warmup_steps \(0\)"):
        training.train(wild, settings, dataset="ana-nunez", run_id=name, watch=seen.append)
    assert seen
    assert all(None not in line.values() for line in seen)
    run = training.open_run(settings, name)
    assert (run.status, run.adapter.exists()) == (Status.FAILED, False)
    assert list(run.checkpoints.glob("sft/checkpoint-*")) == []
    with pytest.raises(TrainingError, match="is failed"):
        training.register(run, settings)


def test_a_tokenizer_without_a_chat_template_is_refused(
    recipe: Recipes, settings: Settings, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = save_tiny_llama(tmp_path / "untold", tiny_llama, chat_template=False)
    mute = settings.model_copy(update={"base_model": str(folder)})
    with pytest.raises(RecipeError, match="untold has no chat template"):
        training.train(recipe(**FP32, base_model=str(folder)), mute, dataset="ana-nunez", run_id="mute")
    assert not (training.open_run(mute, "mute").checkpoints / "sft").exists()


def test_preferences_are_a_second_stage_that_can_be_gone_on_with_too(recipe: Recipes, settings: Settings) -> None:
    both = recipe(**FP32, max_steps=2, dpo=True, dpo_max_steps=4, dpo_learning_rate=1e-3)
    second = training.new_run(both, settings, dataset="ana-nunez", run_id="other-preferences")

    def start_another() -> None:
        with pytest.raises(TrainingBusyError, match=r"run preferences .* is being trained"):
            training.resume(second, settings)

    whole = training.train(both, settings, dataset="ana-nunez", run_id="preferences", watch=at(1, start_another))
    lines = whole.journal.lines()
    assert [(stage, step) for stage, step, _ in curve(lines)] == [
        *(("sft", step) for step in (1, 2)),
        *(("dpo", step) for step in (1, 2, 3, 4)),
    ]
    assert whole.metrics["dpo_rewards/margins"] != 0

    def kill() -> None:
        trainer_of().kill()

    def watch(line: dict[str, object]) -> None:
        if line["stage"] == "dpo" and line["step"] == 3:
            kill()

    with pytest.raises(TrainingMemoryError):
        training.resume(second, settings, watch)
    assert_same_training(training.resume(training.open_run(settings, second.run_id), settings), whole)


def test_preferences_without_validation_are_a_stage_without_its_loss(recipe: Recipes, settings: Settings) -> None:
    folder = save_dataset(settings.datasets, preferences=8, name="few")
    (folder / "preferences" / "validation.parquet").unlink()
    both = recipe(**FP32, max_steps=1, dpo=True, dpo_max_steps=1)
    run = training.train(both, settings, dataset="few", run_id="few-preferences")
    assert [(line["stage"], line["step"]) for line in run.journal.lines() if "loss" in line] == [("sft", 1), ("dpo", 1)]
    assert "eval_loss" in run.metrics
    assert "dpo_eval_loss" not in run.metrics


def test_preferences_that_do_not_fit_are_refused_before_the_first_stage(recipe: Recipes, settings: Settings) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = save_dataset(settings.datasets, preferences=8, name="long")
    file = folder / "preferences" / "train.parquet"
    rows = pq.read_table(file, partitioning=None).to_pylist()
    for row in rows:
        row["chosen"][0]["content"] *= 20
    pq.write_table(pa.Table.from_pylist(rows), file)
    both = recipe(**FP32, max_steps=1, dpo=True, dpo_max_steps=1)
    with pytest.raises(RecipeError, match=r"no example of long@.* \(preferences\) fits into max_length, 96 tokens"):
        training.train(both, settings, dataset="long", run_id="long-preferences")
    run = training.open_run(settings, "long-preferences")
    assert (run.journal.lines(), run.checkpoints.exists()) == ([], False)
