"""Which knobs need less memory, for a run that had too little."""

from __future__ import annotations

from llmtwin.training.recipe import Recipe


def advice(recipe: Recipe) -> str:
    """Return what to change in a recipe, the knob that costs the least quality first."""
    knobs = []
    if not recipe.gradient_checkpointing:
        knobs.append("gradient_checkpointing: true (a third slower)")
    if not recipe.load_in_4bit:
        knobs.append("load_in_4bit: true (a quarter of the base model's memory)")
    if (batch := recipe.per_device_train_batch_size) > 1:
        accumulated = recipe.gradient_accumulation_steps * batch // (batch // 2)
        knobs.append(
            f"per_device_train_batch_size: {batch // 2} with gradient_accumulation_steps: {accumulated} "
            "(the same steps, slower)"
        )
    knobs.append(f"max_length: {max(32, recipe.max_length // 2)} (longer examples are left out)")
    if recipe.optim.startswith("adamw_torch") and not recipe.load_in_4bit:
        knobs.append("optim: paged_adamw_8bit (on a GPU)")
    if recipe.lora_r > 8:
        knobs.append(f"lora_r: {recipe.lora_r // 2}")
    return f"in recipe {recipe.name}, in this order: {'; '.join(knobs)}; or a smaller base_model"
