"""What happens beside training: figures are written down, checkpoints sealed."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from llmtwin.errors import RecipeError
from llmtwin.training import checkpoints
from llmtwin.training.journal import Journal
from llmtwin.training.recipe import Recipe

# trl and transformers log these too: times and rates that `seconds` and `tokens` tell, and what an attempt counts anew.
_LEFT_OUT = {"num_tokens", "eval_num_tokens", "num_input_tokens_seen", "total_flos", "train_loss", "epoch"}


class Writer(TrainerCallback):
    """Writes every figure that a trainer logs into the run's journal.

    Args:
        journal: Where to.
        stage: What is being trained.
        seconds: What earlier attempts took up to the checkpoint that this one goes on from.
    """

    def __init__(self, journal: Journal, stage: str, seconds: float) -> None:
        self._journal = journal
        self._stage = stage
        self._began = time.monotonic() - seconds

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write a line."""
        figures = {name: value for name, value in (logs or {}).items() if not _is_left_out(name)}
        if state.is_world_process_zero and figures:
            place = {"stage": self._stage, "step": state.global_step, "of": state.max_steps}
            seconds = round(time.monotonic() - self._began, 3)
            self._journal.append({**place, **figures, "tokens": state.num_input_tokens_seen, "seconds": seconds})


class Watchdog(TrainerCallback):
    """Ends training once it has diverged: no step after that makes an adapter of use.

    Added before the others, so that neither a figure nor a checkpoint of it is kept.

    Args:
        recipe: Names the knobs to turn.
        stage: What is being trained.
    """

    def __init__(self, recipe: Recipe, stage: str) -> None:
        self._recipe = recipe
        self._rate = "learning_rate" if stage == "sft" else "dpo_learning_rate"

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Refuse a loss, or a gradient, that is no number."""
        for name in ("loss", "eval_loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise self._diverged(f"{name} is {value}", state)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """Refuse weights that are no numbers; the last step's are seen by no loss."""
        trained = (parameter for parameter in model.parameters() if parameter.requires_grad)
        if not all(bool(torch.isfinite(parameter).all()) for parameter in trained):
            raise self._diverged("weights of the adapter are no numbers", state)

    def _diverged(self, what: str, state: TrainerState) -> RecipeError:
        rate, warmup = getattr(self._recipe, self._rate), self._recipe.warmup_steps
        return RecipeError(
            f"training has diverged: {what} after step {state.global_step} of {state.max_steps}. Start a new run with "
            f"a lower {self._rate} ({rate}), or more warmup_steps ({warmup})"
        )


class Sealer(TrainerCallback):
    """Seals every checkpoint once all of its files are written."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Seal the checkpoint of this step."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            checkpoints.seal(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")


def _is_left_out(name: str) -> bool:
    return name in _LEFT_OUT or name.endswith(("_runtime", "_per_second"))
