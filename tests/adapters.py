"""LoRA adapters for tests, in the files that ``peft`` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

BASE_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


def save_adapter(
    folder: Path, *, rank: int = 8, seed: int = 0, width: int = 576, module: str = "self_attn.q_proj", **config: Any
) -> Path:
    """Save a random adapter of one module of the first layer; ``config`` replaces fields of its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    defaults = {
        "peft_type": "LORA",
        "base_model_name_or_path": BASE_MODEL,
        "task_type": "CAUSAL_LM",
        "target_modules": [module.rpartition(".")[2]],
        "r": rank,
        "lora_alpha": 2 * rank,
        "bias": "none",
        "init_lora_weights": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(defaults | config))
    random = np.random.default_rng(seed)
    prefix = f"base_model.model.model.layers.0.{module}"
    weights = {
        f"{prefix}.lora_A.weight": random.standard_normal((rank, width)).astype(np.float32),
        f"{prefix}.lora_B.weight": random.standard_normal((width, rank)).astype(np.float32),
    }
    save_file(weights, folder / "adapter_model.safetensors")
    return folder
