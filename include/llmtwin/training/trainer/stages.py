"""The stages of a run: supervised fine-tuning, then preferences if the recipe says so. Each ends with an adapter."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset as Examples
from peft import PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_trainer import SFTTrainer

from llmtwin.base_model import base_model_path
from llmtwin.datasets import Dataset, open_dataset
from llmtwin.errors import DatasetError, RecipeError
from llmtwin.files import sync_folder, write_json
from llmtwin.registry.adapter import CONFIGURATION, WEIGHTS
from llmtwin.settings import get_settings
from llmtwin.training import checkpoints
from llmtwin.training.recipe import Recipe
from llmtwin.training.run import STAGES, Facts, Run, stages
from llmtwin.training.trainer.arguments import dpo_arguments, sft_arguments
from llmtwin.training.trainer.callbacks import Sealer, Watchdog, Writer
from llmtwin.training.trainer.examples import examples
from llmtwin.training.trainer.model import (
    adapter_config,
    keep_adapter_precise,
    load_base_model,
    load_tokenizer,
    revision_of,
)

# What each stage reads of a dataset.
CONFIGS = {"sft": "sft", "dpo": "preferences"}
_LIBRARIES = ("accelerate", "bitsandbytes", "datasets", "llmtwin", "peft", "torch", "transformers", "trl")


def run_stages(run: Run, stage: str, checkpoint: Path | None) -> None:
    """Train a run to its end.

    Args:
        run: What to train.
        stage: Where to begin.
        checkpoint: Of that stage, to go on from; None: from its beginning.

    Raises:
        RecipeError: The tokenizer has no chat template, no example fits into a sequence, there are too few GPUs, or
            training has diverged.
        DatasetError: The dataset is not what it was.
    """
    recipe = run.read_recipe()
    if (found := PartialState(cpu=not torch.cuda.is_available()).num_processes) != recipe.num_processes:
        raise RecipeError(f"num_processes is {recipe.num_processes}, and there are {found}: is there a GPU for each?")
    settings = get_settings().model_copy(update={"base_model": recipe.base_model})
    path = base_model_path(settings, Path(sys.executable))
    tokenizer = load_tokenizer(path, recipe)
    dataset = open_dataset(settings, run.dataset)
    if dataset.digest != run.dataset_digest:
        raise DatasetError(f"{run.dataset} is not what it was when run {run.run_id} began: start a new run")
    ahead = stages(recipe)[STAGES.index(stage) :]
    # All of them first, so that hours of one stage do not end in a refusal of the next.
    prepared = {name: _examples(dataset, name, tokenizer, recipe) for name in ahead}
    for name, (train, validation) in prepared.items():
        make = _sft_trainer if name == "sft" else _dpo_trainer
        trainer = make(run, recipe, path, tokenizer, train, validation, checkpoint is None)
        keep_adapter_precise(trainer.model)
        trainer.add_callback(Watchdog(recipe, name))
        trainer.add_callback(Writer(run.journal, name, _seconds_until_now(run)))
        trainer.add_callback(Sealer())
        if PartialState().is_main_process:
            _write_facts(run, trainer, path, len(train), len(dataset.rows("train", config=CONFIGS[name])) - len(train))
        if checkpoint and checkpoints.step_of(checkpoint) >= _steps_of(checkpoint):
            # Its last step: the trainer would do one more.
            set_peft_model_state_dict(trainer.model, load_file(checkpoint / WEIGHTS))
        else:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        _save_adapter(trainer, recipe, run.adapter if name == stages(recipe)[-1] else _intermediate(run, name))
        checkpoint = None


def _examples(dataset: Dataset, stage: str, tokenizer: Any, recipe: Recipe) -> tuple[Examples, Examples]:
    """Return what a stage learns from, and what it is looked at with."""
    config = CONFIGS[stage]
    train = examples(dataset, "train", config, tokenizer, recipe.max_length)
    if not len(train):
        what = f"{dataset.reference} ({config})"
        raise RecipeError(f"no example of {what} fits into max_length, {recipe.max_length} tokens: raise it")
    # A dataset whose few preferences are all in training has no file for the others.
    if not (dataset.folder / config / "validation.parquet").is_file():
        return train, train.select([])
    return train, examples(dataset, "validation", config, tokenizer, recipe.max_length, recipe.eval_rows)


def _sft_trainer(
    run: Run, recipe: Recipe, path: str, tokenizer: Any, train: Examples, validation: Examples, is_fresh: bool
) -> SFTTrainer:
    return SFTTrainer(
        model=load_base_model(path, recipe),
        args=sft_arguments(recipe, run.checkpoints / "sft", bool(validation), is_fresh),
        train_dataset=train,
        eval_dataset=validation or None,
        processing_class=tokenizer,
        peft_config=adapter_config(recipe),
    )


def _dpo_trainer(
    run: Run, recipe: Recipe, path: str, tokenizer: Any, train: Examples, validation: Examples, is_fresh: bool
) -> DPOTrainer:
    base = load_base_model(path, recipe)
    return DPOTrainer(
        model=PeftModel.from_pretrained(base, str(_intermediate(run, "sft")), is_trainable=True),
        args=dpo_arguments(recipe, run.checkpoints / "dpo", bool(validation), is_fresh),
        train_dataset=train,
        eval_dataset=validation or None,
        processing_class=tokenizer,
    )


def _save_adapter(trainer: Any, recipe: Recipe, target: Path) -> None:
    """Make the adapter appear whole, with the base model's name in it instead of this machine's folder."""
    working = target.with_name(f".{target.name}.partial")
    if PartialState().is_main_process:
        shutil.rmtree(working, ignore_errors=True)
    PartialState().wait_for_everyone()
    trainer.save_model(str(working))
    PartialState().wait_for_everyone()
    if not PartialState().is_main_process:
        return
    for file in working.iterdir():
        if file.name not in {CONFIGURATION, WEIGHTS}:
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    configuration = json.loads((working / CONFIGURATION).read_bytes())
    write_json(working / CONFIGURATION, configuration | {"base_model_name_or_path": recipe.base_model}, indent=True)
    checkpoints.seal(working)
    shutil.rmtree(target, ignore_errors=True)
    working.rename(target)
    sync_folder(target.parent)


def _write_facts(run: Run, trainer: Any, path: str, count: int, left_out: int) -> None:
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in trainer.model.parameters()]
    facts = Facts(
        base_model_revision=revision_of(trainer.model, path),
        chat_template_digest=hashlib.sha256(trainer.processing_class.chat_template.encode()).hexdigest(),
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        threads=torch.get_num_threads(),
        trainable_parameters=sum(count for count, trained in counts if trained),
        total_parameters=sum(count for count, _ in counts),
        train_examples=count,
        left_out=left_out,
        train_sequences=len(trainer.train_dataset),
        validation_rows=len(trainer.eval_dataset or ()),
        libraries={name: version(name) for name in _LIBRARIES},
    )
    write_json(run.folder / "facts.json", facts.model_dump(mode="json"))


def _intermediate(run: Run, stage: str) -> Path:
    return run.checkpoints / stage / "adapter"


def _steps_of(checkpoint: Path) -> int:
    """Return how many steps the stage of a checkpoint has in all."""
    return int(json.loads((checkpoint / "trainer_state.json").read_bytes())["max_steps"])


def _seconds_until_now(run: Run) -> float:
    return max((line["seconds"] for line in run.journal.lines()), default=0.0)
