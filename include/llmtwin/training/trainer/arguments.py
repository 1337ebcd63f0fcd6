"""A recipe's knobs as arguments of trl's trainers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.sft_config import SFTConfig

from llmtwin.training.recipe import Recipe

# No step has this number: evaluation comes before the first step and after the last, and not between.
_NEVER = 10**9


def sft_arguments(recipe: Recipe, folder: Path, has_validation: bool, is_fresh: bool) -> SFTConfig:
    """Return the arguments of supervised fine-tuning.

    Args:
        recipe: The knobs.
        folder: Of the stage's checkpoints.
        has_validation: Whether there is a validation split.
        is_fresh: Whether training begins, and does not go on from a checkpoint.
    """
    return SFTConfig(
        **_common(recipe, folder, has_validation, is_fresh),
        learning_rate=recipe.learning_rate,
        num_train_epochs=recipe.num_train_epochs,
        max_steps=recipe.max_steps,
        max_length=recipe.max_length,
        packing=recipe.packing,
        eval_packing=False,
        completion_only_loss=recipe.completion_only_loss,
    )


def dpo_arguments(recipe: Recipe, folder: Path, has_validation: bool, is_fresh: bool) -> DPOConfig:
    """Return the arguments of direct preference optimization; see `sft_arguments`."""
    return DPOConfig(
        **_common(recipe, folder, has_validation, is_fresh),
        learning_rate=recipe.dpo_learning_rate,
        num_train_epochs=recipe.dpo_num_train_epochs,
        max_steps=recipe.dpo_max_steps,
        max_length=recipe.max_length,
        beta=recipe.dpo_beta,
    )


def _common(recipe: Recipe, folder: Path, has_validation: bool, is_fresh: bool) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "use_cpu": not torch.cuda.is_available(),
        "bf16": recipe.dtype == "bfloat16",
        "lr_scheduler_type": recipe.lr_scheduler_type,
        "warmup_steps": recipe.warmup_steps,
        "optim": recipe.optim,
        "adam_beta2": recipe.adam_beta2,
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_grad_norm,
        "per_device_train_batch_size": recipe.per_device_train_batch_size,
        "per_device_eval_batch_size": recipe.per_device_train_batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation_steps,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "seed": recipe.seed,
        "logging_strategy": "steps",
        "logging_steps": recipe.logging_steps,
        "eval_strategy": "steps" if has_validation else "no",
        "eval_steps": recipe.eval_steps or _NEVER,
        "eval_on_start": has_validation and is_fresh,
        "save_strategy": "steps",
        "save_steps": recipe.save_steps,
        "save_total_limit": recipe.save_total_limit,
        "include_num_input_tokens_seen": "all",
        "logging_nan_inf_filter": False,
        "report_to": [],
        "disable_tqdm": True,
    }
