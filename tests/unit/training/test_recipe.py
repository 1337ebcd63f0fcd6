"""Recipes: what is read is what runs, and what cannot be is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from llmtwin.errors import RecipeError
from llmtwin.training.recipe import Recipe, accelerate_config, read_recipe, recipes, write_recipe

SMALLEST = "base_model: somebody/small\nlearning_rate: 1e-4\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A recipe that says no more than it must."""
    path = tmp_path / "mine.yaml"
    path.write_text(SMALLEST)
    return path


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_that_comes_with_llmtwin_is_valid_and_named_as_its_file(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.load_in_4bit
    assert recipe.completion_only_loss
    accelerate_config(recipe)


def test_a_file_is_a_recipe_too(file: Path) -> None:
    recipe = read_recipe(file)
    assert (recipe.name, recipe.base_model, recipe.learning_rate) == ("mine", "somebody/small", 1e-4)


def test_changes_are_part_of_the_recipe(file: Path) -> None:
    recipe = read_recipe(file, {"max_steps": 7})
    assert recipe.max_steps == 7
    assert recipe.digest != read_recipe(file).digest


def test_a_recipe_as_it_runs_has_every_knob_and_reads_back_the_same(file: Path, tmp_path: Path) -> None:
    recipe = read_recipe(file, {"lora_target_modules": ["q_proj"], "name": "another", "base_model": "Núñez/модель"})
    written = tmp_path / "recipe.yaml"
    written.write_bytes(write_recipe(recipe))
    assert yaml.safe_load(written.read_text()).keys() == Recipe.model_fields.keys()
    assert read_recipe(written) == recipe


def test_the_digest_is_that_of_the_knobs_and_not_of_the_dataset(file: Path) -> None:
    recipe = read_recipe(file)
    assert recipe.model_copy(update={"dataset": "ana@0123"}).digest == recipe.digest
    assert recipe.model_copy(update={"seed": 1}).digest != recipe.digest


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("learning_rte: 1", r"there is no knob 'learning_rte': do you mean 'learning_rate'\?"),
        ("r: 16", "there is no knob 'r'"),
        ("learning_rate: fast", r"learning_rate: Input should be a valid number.* \(it says 'fast'\)"),
        ("learning_rate: .nan", "learning_rate: "),
        ("lora_r: 0", "lora_r: Input should be greater than or equal to 1"),
        ("save_total_limit: 1", "save_total_limit: "),
        ("bnb_4bit_quant_type: nf8", "bnb_4bit_quant_type: Input should be 'nf4' or 'fp4'"),
        ("max_steps: 0", "at least 1, or -1"),
        ("logging_steps: 20\nsave_steps: 50", r"save_steps \(50\) is no multiple of logging_steps \(20\)"),
        ("lora_target_modules: [q_proj, lm_head]", "lora_target_modules: lm_head cannot be adapted"),
        ("lora_target_modules: []", "lora_target_modules: "),
        ("accelerate_config: fsdp", "set num_processes"),
    ],
)
def test_a_knob_that_cannot_be_is_named(file: Path, line: str, said: str) -> None:
    name = line.split(":")[0]
    kept = "".join(one for one in SMALLEST.splitlines(keepends=True) if not one.startswith(f"{name}:"))
    file.write_text(kept + line)
    with pytest.raises(RecipeError, match=said):
        read_recipe(file)


def test_a_knob_that_is_missing_is_named(file: Path) -> None:
    file.write_text("base_model: somebody/small\n")
    with pytest.raises(RecipeError, match=r"mine\.yaml: learning_rate is missing"):
        read_recipe(file)


@pytest.mark.parametrize("content", ["- a list", "just words", "", "1: one", "a: [unclosed", "\x00"])
def test_what_is_no_recipe_is_refused(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(RecipeError, match=r"mine\.yaml"):
        read_recipe(file)


def test_a_recipe_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"there is no recipe .*smke\.yaml: give a file, or one of .*smoke"):
        read_recipe("smke")
    with pytest.raises(RecipeError, match="there is no recipe"):
        read_recipe(tmp_path / "missing.yaml")


def test_an_accelerate_configuration_is_found_by_name_and_by_path(file: Path, tmp_path: Path) -> None:
    several = read_recipe(file, {"num_processes": 2})
    assert accelerate_config(several) is None
    packaged = accelerate_config(several.model_copy(update={"accelerate_config": "fsdp"}))
    assert packaged is not None
    assert yaml.safe_load(packaged.read_text())["distributed_type"] == "FSDP"
    own = tmp_path / "own.yaml"
    own.write_text("{}")
    assert accelerate_config(several.model_copy(update={"accelerate_config": str(own)})) == own
    with pytest.raises(RecipeError, match="there is no file nowhere, and fsdp come with llmtwin"):
        accelerate_config(several.model_copy(update={"accelerate_config": "nowhere"}))
