"""What 4 bits cost the small base model, by what is spared: ``python tests/benchmarks/bench_quantization.py``.

Perplexity of SmolLM2-135M-Instruct on the beginnings of articles, in bfloat16, in nf4, and in nf4 without some of its
projections or layers (the recipes' knob ``llm_int8_skip_modules``). No training.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from corpus import load_articles
from installation import end_as_by_ctrl_c
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer
from transformers.utils import logging

from llmtwin.base_model import base_model_path
from llmtwin.settings import Settings
from llmtwin.training import read_recipe
from llmtwin.training.trainer.model import load_base_model

HOME = Path(__file__).resolve().parents[2]
ARTICLES = 24
TOKENS = 512
LAST = ("model.layers.27", "model.layers.28", "model.layers.29")
SPARED: dict[str, Sequence[str]] = {
    "nothing": (),
    "k_proj, v_proj": ("k_proj", "v_proj"),
    "q_proj, o_proj": ("q_proj", "o_proj"),
    "gate_proj, up_proj": ("gate_proj", "up_proj"),
    "down_proj": ("down_proj",),
    "the last three layers": LAST,
    "k_proj, v_proj, the last three layers (smoke)": ("k_proj", "v_proj", *LAST),
}


def main() -> None:
    """Measure, and print the table."""
    end_as_by_ctrl_c()
    logging.disable_progress_bar()
    path = base_model_path(Settings(home=HOME, models_dir=HOME / ".local" / "models"), Path(sys.executable))
    tokenizer = AutoTokenizer.from_pretrained(path)
    texts = [tokenizer(article.text)["input_ids"][:TOKENS] for article in load_articles()[:ARTICLES]]
    recipe = read_recipe("smoke")
    table = Table("not made 4-bit", "share of weights in 4 bits", "perplexity")
    plain = load_base_model(path, recipe.model_copy(update={"load_in_4bit": False}))
    table.add_row("everything (bfloat16)", "0.00", f"{perplexity(plain, texts):.2f}")
    for name, spared in SPARED.items():
        model = load_base_model(path, recipe.model_copy(update={"load_in_4bit": True, "llm_int8_skip_modules": spared}))
        table.add_row(name, f"{share(model):.2f}", f"{perplexity(model, texts):.2f}")
    Console().print(table)


def perplexity(model: Any, texts: Sequence[list[int]]) -> float:
    """Return the perplexity over all tokens but each text's first."""
    nats = tokens = 0.0
    with torch.inference_mode():
        for text in texts:
            ids = torch.tensor([text])
            logits = model(ids).logits[0, :-1].float()
            nats += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
            tokens += len(text) - 1
    return math.exp(nats / tokens)


def share(model: Any) -> float:
    """Return the share of the projections' weights that is stored as 4-bit numbers."""
    linear = [module for name, module in model.named_modules() if name.endswith("_proj")]
    sizes = [(module.in_features * module.out_features, type(module).__name__ == "Linear4bit") for module in linear]
    return sum(size for size, is_small in sizes if is_small) / sum(size for size, _ in sizes)


if __name__ == "__main__":
    main()
