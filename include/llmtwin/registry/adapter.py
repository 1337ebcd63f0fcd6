"""A folder that holds a LoRA adapter as ``peft`` saves it, looked at without loading it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmtwin.errors import AdapterError
from llmtwin.registry.version import is_same_model

CONFIGURATION = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

# The layers that adapters may change, and that vLLM is started for: the projections of attention and feed-forward, as
# they are named in Llama, Mistral, Qwen and their kin, and where a model fuses them. Not the output layer (lm_head):
# where that may have an adapter, a request for the prompt's log-probabilities ends vLLM's process (0.32).
SERVED_MODULES = (
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
    "qkv_proj",
    "gate_up_proj",
)

# What vLLM cannot apply (vllm.lora.peft_helper), by its field in the configuration.
_UNSUPPORTED = {
    "use_dora": "DoRA",
    "lora_bias": "a bias of its own",
    "modules_to_save": "fully trained modules (modules_to_save)",
    "layer_replication": "replicated layers",
    "alora_invocation_tokens": "activated LoRA",
    "use_qalora": "QALoRA",
}
# These only set the weights that training began with; the others change the base model too.
_HARMLESS_BEGINNINGS = {"gaussian", "eva", "orthogonal", "mica", "lora_ga"}


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter on disk.

    Attributes:
        folder: Holds ``adapter_config.json`` and ``adapter_model.safetensors``.
        base_model: Hub id or folder of the model it was trained on.
        rank: The highest rank of its matrices.
    """

    folder: Path
    base_model: str
    rank: int

    @property
    def files(self) -> tuple[Path, Path]:
        """Its configuration and its weights."""
        return self.folder / CONFIGURATION, self.folder / WEIGHTS

    def require_servable(self, base_model: str, max_rank: int) -> None:
        """Make sure that it fits what is served.

        Raises:
            AdapterError: It was trained on another base model, or its rank is too high.
        """
        if not is_same_model(self.base_model, base_model):
            raise AdapterError(
                self.folder,
                f"it was trained on {self.base_model!r}, and {base_model!r} is served: set LLMTWIN_BASE_MODEL to that, "
                "or train again",
            )
        if self.rank > max_rank:
            raise AdapterError(
                self.folder,
                f"its rank is {self.rank}, and {max_rank} is the most that is served: raise LLMTWIN_VLLM_MAX_LORA_RANK",
            )


def read_adapter(folder: Path) -> Adapter:
    """Return the adapter in a folder, once its files are known to be whole.

    Raises:
        AdapterError: A file is missing or damaged, or the adapter needs what vLLM does not have.
    """
    config = _read_config(folder)
    if config.get("peft_type") != "LORA":
        raise AdapterError(folder, f"its peft_type is {config.get('peft_type')!r}: only LoRA adapters are served")
    base_model = config.get("base_model_name_or_path")
    if not isinstance(base_model, str) or not base_model:
        raise AdapterError(folder, f"{CONFIGURATION} does not name its base model (base_model_name_or_path)")
    ranks = [config.get("r"), *(config.get("rank_pattern") or {}).values()]
    usable = [rank for rank in ranks if isinstance(rank, int) and rank > 0]
    if len(usable) < len(ranks):
        raise AdapterError(folder, f"{CONFIGURATION} gives no usable rank (r, rank_pattern): {ranks}")
    _require_supported(folder, config)
    _require_whole_weights(folder)
    return Adapter(folder, base_model, max(usable))


def digest_of(folder: Path) -> str:
    """Return the SHA-256 of the weights in a folder, as 64 hexadecimal digits."""
    with (folder / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIGURATION).read_bytes())
    except FileNotFoundError:
        raise AdapterError(folder, f"there is no {CONFIGURATION}: give the folder that peft saved") from None
    except (OSError, ValueError) as error:
        raise AdapterError(folder, f"{CONFIGURATION} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise AdapterError(folder, f"{CONFIGURATION} is no JSON object")
    return config


def _require_supported(folder: Path, config: dict[str, Any]) -> None:
    found = [name for field, name in _UNSUPPORTED.items() if config.get(field)]
    if config.get("bias", "none") != "none":
        found.append(f"bias={config['bias']!r}")
    beginning = config.get("init_lora_weights", True)
    if isinstance(beginning, str) and beginning.lower() not in _HARMLESS_BEGINNINGS:
        found.append(f"init_lora_weights={beginning!r}, which changes the base model")
    if found:
        raise AdapterError(folder, f"vLLM cannot serve {', '.join(found)}: train a plain LoRA adapter")


def _require_whole_weights(folder: Path) -> None:
    """Read the header, which also tells whether the file has the length that it should have."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as weights:
            names = list(weights.keys())
    except FileNotFoundError:
        raise AdapterError(folder, f"there is no {WEIGHTS}: save the adapter with safe_serialization=True") from None
    except (OSError, SafetensorError) as error:
        raise AdapterError(folder, f"{WEIGHTS} is damaged: {error}") from error
    modules = {name.partition(".lora_A.")[0].rpartition(".")[2] for name in names if ".lora_A." in name}
    if not modules:
        raise AdapterError(folder, f"{WEIGHTS} holds no LoRA matrices")
    # vLLM would pass over them in silence.
    if others := sorted(modules - set(SERVED_MODULES)):
        raise AdapterError(
            folder, f"it changes {', '.join(others)}; only {', '.join(SERVED_MODULES)} can be: train without"
        )
