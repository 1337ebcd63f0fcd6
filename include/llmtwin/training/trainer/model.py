"""The base model, its tokenizer, and the adapter that is put on it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from llmtwin.errors import RecipeError
from llmtwin.training.recipe import Recipe


def load_tokenizer(path: str, recipe: Recipe) -> Any:
    """Return the tokenizer, whose chat template is the one that vLLM uses.

    Raises:
        RecipeError: It has none, so nobody could say how a conversation is to be written down.
    """
    tokenizer = AutoTokenizer.from_pretrained(path, revision=recipe.base_model_revision)
    if not tokenizer.chat_template:
        raise RecipeError(
            f"the tokenizer of {recipe.base_model} has no chat template, so it cannot be taught to answer: take the "
            "model's instruct version, or add chat_template.jinja to its folder, for vLLM too"
        )
    return tokenizer


def load_base_model(path: str, recipe: Recipe) -> Any:
    """Return the base model, quantized if the recipe says so, on the device that it is trained on."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        path,
        revision=recipe.base_model_revision,
        dtype=dtype(recipe),
        quantization_config=quantization(recipe),
        device_map=None if is_sharded() else {"": PartialState().device},
        attn_implementation=recipe.attn_implementation,
    )
    for module in model.modules():
        # On a CPU with AVX512-BF16, bitsandbytes (0.50) packs the weights anew at the first evaluation, for a kernel
        # that has no gradient: from then on training would silently learn less, by another loss after every resume.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def quantization(recipe: Recipe) -> BitsAndBytesConfig | None:
    """Return how the base model's weights are stored; None: as they are."""
    if not recipe.load_in_4bit:
        return None
    make: Any = BitsAndBytesConfig  # its types are not complete
    config: BitsAndBytesConfig = make(
        load_in_4bit=True,
        bnb_4bit_quant_type=recipe.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=recipe.bnb_4bit_use_double_quant,
        bnb_4bit_compute_dtype=dtype(recipe),
        # A list of one's own replaces the default, which is the output layer.
        llm_int8_skip_modules=["lm_head", *recipe.llm_int8_skip_modules],
        # FSDP shards what has one type: https://huggingface.co/docs/bitsandbytes/main/en/fsdp_qlora
        bnb_4bit_quant_storage=dtype(recipe) if is_sharded() else torch.uint8,
    )
    return config


def adapter_config(recipe: Recipe) -> LoraConfig:
    """Return the adapter's configuration."""
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.lora_r,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=list(recipe.lora_target_modules),
        bias="none",
    )


def dtype(recipe: Recipe) -> torch.dtype:
    """Return the type of computation."""
    return torch.bfloat16 if recipe.dtype == "bfloat16" else torch.float32


def is_sharded() -> bool:
    """Tell whether accelerate was told to spread the model over several GPUs (FSDP), and so places it itself."""
    return os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def keep_adapter_precise(model: Any) -> None:
    """Make the adapter's weights float32, whatever the base model's are.

    trl makes them bfloat16 on a quantized base model, whose eight bits swallow small updates; and a checkpoint would
    be loaded as float32, so that a resumed run would go another way than one that was never interrupted. Not under
    FSDP, which shards what has one type.
    """
    if is_sharded():
        return
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)


def revision_of(model: Any, path: str) -> str:
    """Return what tells this base model from another of its name: the hub's commit, else a digest of its files."""
    commit = getattr(model.config, "_commit_hash", None)
    if commit:
        return str(commit)
    digest = hashlib.sha256()
    for file in sorted(Path(path).iterdir()):
        if file.suffix in {".safetensors", ".json", ".jinja", ".txt", ".model"}:
            with file.open("rb") as opened:
                digest.update(f"{file.name}\n".encode() + hashlib.file_digest(opened, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"
