"""A tiny INSTRUCTOR model with random weights: a T5 encoder, mean pooling, a dense layer, normalisation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WINDOW = 512  # InstructorEmbedding knows no other
DIMENSION = 24
_WIDTH = 32
_MODULES = ("Transformer", "Pooling", "Dense", "Normalize")
_PROMPTS = "Represent the code article question for retrieval supporting:"


def build_instructor(folder: Path, texts: Sequence[str]) -> Path:
    """Write a model that knows these texts' words into a new folder, laid out as ``hkunlp/instructor-*``; return it.

    InstructorEmbedding reads no other layout: sentence-transformers 6 writes other module names, keys and weights.
    """
    import torch
    from transformers import T5Config, T5EncoderModel

    for index, name in enumerate(_MODULES[1:], start=1):
        (folder / f"{index}_{name}").mkdir(parents=True)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=_write_tokenizer(folder, texts),
        d_model=_WIDTH,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        architectures=["T5EncoderModel"],
    )
    config.save_pretrained(folder)
    torch.save(T5EncoderModel(config).state_dict(), folder / "pytorch_model.bin")
    dense = torch.nn.Linear(_WIDTH, DIMENSION, bias=False)
    torch.save({"linear.weight": dense.weight.detach()}, folder / "2_Dense" / "pytorch_model.bin")
    _write(
        folder / "modules.json",
        [
            {
                "idx": index,
                "name": str(index),
                "path": f"{index}_{name}" if index else "",
                "type": f"sentence_transformers.models.{name}",
            }
            for index, name in enumerate(_MODULES)
        ],
    )
    _write(folder / "sentence_bert_config.json", {"max_seq_length": WINDOW, "do_lower_case": False})
    _write(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": _WIDTH,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )
    _write(
        folder / "2_Dense" / "config.json",
        {
            "in_features": _WIDTH,
            "out_features": DIMENSION,
            "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
    )
    return folder


def _write_tokenizer(folder: Path, texts: Sequence[str]) -> int:
    """Train and write a tokenizer built as T5's is; return the size of its vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator([_PROMPTS, *texts] * 20, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "T5Tokenizer",
            "model_max_length": WINDOW,
            "extra_ids": 0,
            "pad_token": "<pad>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
        },
    )
    return tokenizer.get_vocab_size()


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2))
