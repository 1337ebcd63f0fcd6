"""A Llama with random weights and SmolLM2's tokenizer, and a dataset for it: training in seconds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from llmtwin.datasets.rows import answer, prompt, schema

AUTHOR = "Ana Núñez"
DIGEST = "0123456789ab" + 52 * "0"
_TEXT = "the heron waits by a river while the queue drains and a token moves over night before morning"
_WORDS = _TEXT.split()


def save_tiny_llama(folder: Path, smollm2: Path, chat_template: bool = True) -> Path:
    """Save a Llama of two layers, 64 wide, with the tokenizer of the default base model.

    Args:
        folder: Where to.
        smollm2: The default base model.
        chat_template: Whether the tokenizer has one.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }
    LlamaForCausalLM(LlamaConfig(**config)).save_pretrained(folder)
    if not chat_template:
        tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    return folder


def save_dataset(datasets: Path, *, train: int = 24, preferences: int = 0, name: str = "ana-nunez") -> Path:
    """Save a dataset of random sentences in the form that ``llmtwin datasets build`` writes."""
    folder = datasets / name / DIGEST[:12]
    chance = random.Random(0)
    for split, count in (("train", train), ("validation", 4), ("test", 4)):
        _write(folder / "sft" / f"{split}.parquet", [_row(chance, "completion") for _ in range(count)])
    for split, count in (("train", preferences), ("validation", 2)) if preferences else ():
        rows = [_row(chance, "chosen", "rejected") for _ in range(count)]
        _write(folder / "preferences" / f"{split}.parquet", rows)
    (folder / "dataset.json").write_text(json.dumps({"author": AUTHOR, "digest": DIGEST}))
    return folder


def _row(chance: random.Random, *answers: str) -> dict[str, Any]:
    said = {name: answer(" ".join(chance.choices(_WORDS, k=chance.randint(8, 24)))) for name in answers}
    origin = {"type": "instruction", "kind": "article", "document_id": "1", "link": "https://example.org/1"}
    return {"prompt": prompt(AUTHOR, f"Write about {chance.choice(_WORDS)}."), **said, **origin, "author": AUTHOR}


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    config = "sft" if path.parent.name == "sft" else "preferences"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema(config)), path)
