from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tests.adapters import BASE_MODEL, save_adapter

from llmtwin.errors import AdapterError
from llmtwin.registry import read_adapter


def test_an_adapter_says_what_it_was_trained_on_and_its_highest_rank(tmp_path: Path) -> None:
    adapter = read_adapter(save_adapter(tmp_path, rank=8, rank_pattern={"layers.0.self_attn.q_proj": 12}))
    assert adapter.base_model == BASE_MODEL
    assert adapter.rank == 12


@pytest.mark.parametrize("served", [BASE_MODEL, "/data/models/SmolLM2-135M-Instruct/", "smollm2-135m-instruct"])
def test_a_base_model_is_the_same_under_its_hub_id_and_in_a_folder(tmp_path: Path, served: str) -> None:
    read_adapter(save_adapter(tmp_path)).require_servable(served, max_rank=8)


def test_another_base_model_is_refused(tmp_path: Path) -> None:
    adapter = read_adapter(save_adapter(tmp_path))
    with pytest.raises(AdapterError, match=r"trained on .*135M.*'org/Other-7B' is served.*LLMTWIN_BASE_MODEL"):
        adapter.require_servable("org/Other-7B", max_rank=16)


def test_too_high_a_rank_is_refused_with_the_setting_that_raises_it(tmp_path: Path) -> None:
    adapter = read_adapter(save_adapter(tmp_path, rank=32))
    with pytest.raises(AdapterError, match=r"rank is 32, and 16 is the most.*LLMTWIN_VLLM_MAX_LORA_RANK"):
        adapter.require_servable(BASE_MODEL, max_rank=16)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "only LoRA"),
        ({"base_model_name_or_path": None}, "base_model_name_or_path"),
        ({"r": 0}, "no usable rank"),
        ({"r": "8"}, "no usable rank"),
        ({"rank_pattern": {"q_proj": -1}}, "no usable rank"),
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias='all'"),
        ({"init_lora_weights": "pissa"}, "changes the base model"),
    ],
)
def test_what_vllm_cannot_serve_is_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    save_adapter(tmp_path, **config)
    with pytest.raises(AdapterError, match=message) as caught:
        read_adapter(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\xff\xfe"])
def test_a_damaged_configuration_is_refused(tmp_path: Path, text: str) -> None:
    save_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(AdapterError, match=r"adapter_config\.json"):
        read_adapter(tmp_path)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    save_adapter(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(AdapterError, match=f"there is no {name}"):
        read_adapter(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_weights_that_were_cut_off_are_refused(tmp_path: Path, keep: int) -> None:
    weights = save_adapter(tmp_path) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(AdapterError, match="is damaged"):
        read_adapter(tmp_path)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"lm_head.weight": np.zeros((2, 2))}, save_adapter(tmp_path) / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match="no LoRA matrices"):
        read_adapter(tmp_path)


@pytest.mark.parametrize("module", ["lm_head", "embed_tokens", "mixer.in_proj"])
def test_layers_that_vllm_is_not_started_for_are_refused(tmp_path: Path, module: str) -> None:
    with pytest.raises(AdapterError, match=f"it changes {module.rpartition('.')[2]}; only q_proj, .* can be"):
        read_adapter(save_adapter(tmp_path, module=module))


def test_pickled_weights_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "m", "r": 1})
    )
    (tmp_path / "adapter_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(AdapterError, match="safe_serialization"):
        read_adapter(tmp_path)
