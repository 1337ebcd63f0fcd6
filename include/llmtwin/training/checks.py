"""What is looked at before a run begins, so that hours of training do not end in a refusal."""

from __future__ import annotations

from llmtwin.datasets import Dataset
from llmtwin.errors import DatasetError, RecipeError
from llmtwin.registry import SERVED_MODULES
from llmtwin.registry.version import is_same_model
from llmtwin.settings import Settings
from llmtwin.training.recipe import Recipe, accelerate_config


def require_trainable(recipe: Recipe, dataset: Dataset, settings: Settings) -> None:
    """Make sure that what comes out can be served, and that there is something to learn from.

    Raises:
        RecipeError: The rank is higher, or the base model another one, than what is served; or a file is missing.
        DatasetError: The dataset has no examples, or not those of a stage, or a file is missing or damaged.
    """
    if recipe.lora_r > settings.vllm_max_lora_rank:
        raise RecipeError(
            f"lora_r is {recipe.lora_r}, and vLLM is set to serve {settings.vllm_max_lora_rank} at most: lower it, or "
            "raise LLMTWIN_VLLM_MAX_LORA_RANK"
        )
    if not is_same_model(recipe.base_model, settings.base_model):
        raise RecipeError(
            f"base_model is {recipe.base_model!r}, and {settings.base_model!r} is served, and an adapter fits only the "
            f"model it was trained on: set LLMTWIN_BASE_MODEL={recipe.base_model}, or take another recipe"
        )
    if others := sorted(set(recipe.lora_target_modules) - set(SERVED_MODULES)):
        raise RecipeError(f"lora_target_modules: {', '.join(others)} cannot be served; {', '.join(SERVED_MODULES)} can")
    accelerate_config(recipe)
    if not dataset.rows("train"):
        raise DatasetError(f"{dataset.reference} has no examples to train on: see its README.md for what was left out")
    if recipe.dpo and not dataset.rows("train", config="preferences"):
        raise DatasetError(f"{dataset.reference} has no preferences: set dpo: false, or build it with a teacher")
