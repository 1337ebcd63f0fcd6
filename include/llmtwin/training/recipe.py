"""A recipe: one flat YAML file is one training run, and nothing that it does not say happens.

Knobs have the names they have in transformers, trl, peft and bitsandbytes; docs/training.md says where each default
comes from.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llmtwin.errors import RecipeError

_FOLDER = Path(__file__).with_name("recipes")
# The projections of attention and MLP in Llama, Mistral, Qwen and SmolLM.
_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Recipe(BaseModel):
    """The knobs of one run."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="default: the file's name")
    dataset: str | None = Field(default=None, description="name, or name@version; a command may give another one")

    # The model that is taught
    base_model: str = Field(min_length=1, description="hub id or folder; what is served, too")
    base_model_revision: str | None = Field(default=None, description="commit at the hub; default: the newest")
    dtype: Literal["bfloat16", "float32"] = Field(default="bfloat16", description="of computation")
    load_in_4bit: bool = Field(default=True, description="QLoRA; the base model's weights as 4-bit numbers")
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    bnb_4bit_use_double_quant: bool = Field(default=True, description="quantize the quantization constants too")
    llm_int8_skip_modules: tuple[str, ...] = Field(
        default=(), description="projections or layers that are not made 4-bit, as k_proj or model.layers.29"
    )
    attn_implementation: Literal["sdpa", "flash_attention_2", "eager"] = "sdpa"

    # What is trained of it
    lora_r: int = Field(default=16, ge=1, description="rank; at most what is served, LLMTWIN_VLLM_MAX_LORA_RANK")
    lora_alpha: int = Field(default=32, ge=1, description="the adapter's output is scaled by lora_alpha / lora_r")
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)
    lora_target_modules: tuple[str, ...] = Field(default=_PROJECTIONS, min_length=1)

    # What it is shown
    max_length: int = Field(default=1024, ge=32, description="tokens of a sequence; longer examples are left out")
    packing: bool = Field(default=True, description="fill sequences with several examples, which do not see each other")
    completion_only_loss: bool = Field(default=True, description="learn the answers, not the questions")

    # How it learns
    learning_rate: float = Field(gt=0, le=1)
    lr_scheduler_type: Literal["constant", "constant_with_warmup", "linear", "cosine"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    optim: Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"] = (
        "adamw_torch"
    )
    adam_beta2: float = Field(default=0.999, gt=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=0.3, ge=0, description="0: gradients are not clipped")
    per_device_train_batch_size: int = Field(default=4, ge=1)
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    gradient_checkpointing: bool = Field(default=True, description="compute activations twice instead of keeping them")
    num_train_epochs: float = Field(default=1.0, gt=0, description="while max_steps is -1")
    max_steps: int = Field(default=-1, ge=-1, description="of the optimizer; -1: num_train_epochs")
    seed: int = Field(default=0, ge=0, le=2**32 - 1)

    # What is kept and looked at on the way
    logging_steps: int = Field(default=1, ge=1)
    eval_steps: int = Field(default=0, ge=0, description="0: only before the first step and after the last")
    eval_rows: int = Field(default=64, ge=0, description="of the validation split; 0: none at all")
    save_steps: int = Field(default=50, ge=1, description="between two checkpoints; a multiple of logging_steps")
    save_total_limit: int = Field(default=2, ge=2, description="two, so that one is whole while the next is written")

    # A second stage with preferences
    dpo: bool = Field(default=False, description="then direct preference optimization with the dataset's preferences")
    dpo_beta: float = Field(default=0.1, gt=0)
    dpo_learning_rate: float = Field(default=5e-6, gt=0, le=1)
    dpo_num_train_epochs: float = Field(default=1.0, gt=0, description="while dpo_max_steps is -1")
    dpo_max_steps: int = Field(default=-1, ge=-1)

    # Several GPUs
    num_processes: int = Field(default=1, ge=1, description="one for each GPU, started by accelerate")
    accelerate_config: str | None = Field(default=None, description="file, or name of one of recipes/accelerate")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if 0 in (self.max_steps, self.dpo_max_steps):
            raise ValueError("max_steps and dpo_max_steps are at least 1, or -1 for as many as the epochs have")
        if self.save_steps % self.logging_steps:
            raise ValueError(
                f"save_steps ({self.save_steps}) is no multiple of logging_steps ({self.logging_steps}): a resumed run "
                "would not have the same loss curve"
            )
        refused = {"lm_head", "embed_tokens"} & set(self.lora_target_modules)
        if refused:
            raise ValueError(f"lora_target_modules: {', '.join(sorted(refused))} cannot be adapted; use projections")
        if self.accelerate_config and self.num_processes == 1:
            raise ValueError("accelerate_config is for several GPUs: set num_processes to their number")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of all knobs but the dataset, as 64 hexadecimal digits; equal recipes have equal digests."""
        knobs = self.model_dump(mode="json", exclude={"dataset"})
        return hashlib.sha256(json.dumps(knobs, sort_keys=True).encode()).hexdigest()


def recipes() -> list[str]:
    """Return the names of the recipes that come with llmtwin."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def read_recipe(path_or_name: str | Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Return a recipe.

    Args:
        path_or_name: A YAML file, or one of `recipes`.
        changes: Knobs that are to be other than the file says; they are part of the run's own recipe.

    Raises:
        RecipeError: There is none, it cannot be read, or a knob is unknown or has an impossible value.
    """
    path = _path(str(path_or_name))
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"there is no recipe {path}: give a file, or one of {', '.join(recipes())}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise RecipeError(f"{path} is no flat list of `knob: value`")
    knobs = {"name": path.stem, **content, **(changes or {})}
    try:
        return Recipe.model_validate(knobs)
    except ValidationError as error:
        problems = "; ".join(map(_problem, error.errors()))
        raise RecipeError(f"{path}: {problems}") from error


def write_recipe(recipe: Recipe) -> bytes:
    """Return a recipe as YAML, every knob in it; `read_recipe` gives it back."""
    knobs = recipe.model_dump(mode="json")
    text: str = yaml.safe_dump(knobs, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text.encode()


def accelerate_config(recipe: Recipe) -> Path | None:
    """Return the file that tells accelerate how the processes of a run share the work; None for its defaults.

    Raises:
        RecipeError: There is none.
    """
    if recipe.accelerate_config is None:
        return None
    packaged = _FOLDER / "accelerate" / f"{recipe.accelerate_config}.yaml"
    path = packaged if packaged.is_file() else Path(recipe.accelerate_config).expanduser()
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in packaged.parent.glob("*.yaml")))
        raise RecipeError(f"accelerate_config: there is no file {path}, and {known} come with llmtwin")
    return path


def _path(given: str) -> Path:
    is_name = "/" not in given and not given.endswith((".yaml", ".yml"))
    return _FOLDER / f"{given}.yaml" if is_name else Path(given).expanduser()


def _problem(problem: Any) -> str:
    knob = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(knob, Recipe.model_fields, n=1)
        return f"there is no knob {knob!r}" + (f": do you mean {close[0]!r}?" if close else "")
    if problem["type"] == "missing":
        return f"{knob} is missing"
    said = str(problem["msg"]).removeprefix("Value error, ")
    return f"{knob}: {said} (it says {problem['input']!r})" if knob else said
