"""The base model as training loads it."""

from __future__ import annotations

from collections.abc import Callable

from bitsandbytes.nn import Linear4bit

from llmtwin.settings import Settings
from llmtwin.training import Recipe
from llmtwin.training.trainer.model import load_base_model

Recipes = Callable[..., Recipe]


def quantized(recipe: Recipe, settings: Settings) -> set[str]:
    """Names of what is stored as 4-bit numbers."""
    model = load_base_model(settings.base_model, recipe)
    return {name for name, module in model.named_modules() if isinstance(module, Linear4bit)}


def test_all_projections_are_quantized_but_those_that_the_recipe_spares(recipe: Recipes, settings: Settings) -> None:
    projections = recipe().lora_target_modules
    every = quantized(recipe(load_in_4bit=True, llm_int8_skip_modules=()), settings)
    assert {name.rpartition(".")[2] for name in every} == set(projections)
    spared = quantized(recipe(load_in_4bit=True, llm_int8_skip_modules=("k_proj", "model.layers.0")), settings)
    assert spared == {name for name in every if not name.endswith("k_proj") and not name.startswith("model.layers.0.")}
    assert spared
    assert quantized(recipe(load_in_4bit=False), settings) == set()
