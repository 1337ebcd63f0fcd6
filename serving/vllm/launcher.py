"""From settings to vLLM's command line and environment."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

from llmtwin.errors import SettingsError
from llmtwin.registry import SERVED_MODULES
from llmtwin.settings import Settings

Device = Literal["cpu", "gpu"]

SERVED_NAME = "base"
# In one step, at least; a prompt that is not read in pieces must fit.
_BATCHED_TOKENS = 4096
# vllm.config.lora.MaxLoRARanks
_RANKS = (1, 8, 16, 32, 64, 128, 256)
# Our own secrets and Airflow's are none of vLLM's business, and how their threads wait is not for it. The mark by which
# the local stack finds its processes is.
_FOREIGN = ("LLMTWIN_", "AIRFLOW_", "MONGODB_", "RABBITMQ_", "QDRANT_", "PYTHON", "OMP_", "VLLM_URL", "VLLM_API_KEY")
_KEPT = ("LLMTWIN_OWNER",)
# With more cores, vLLM's own choice is better: it knows NUMA nodes. With few, it would leave half of them idle.
_FEW_CORES = 4


def device_of(settings: Settings) -> Device:
    """Return where the model runs."""
    return ("gpu" if has_gpu() else "cpu") if settings.vllm_device == "auto" else settings.vllm_device


def has_gpu() -> bool:
    """Tell whether this machine has an NVIDIA GPU."""
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def require_possible(settings: Settings, device: Device) -> None:
    """Make sure that settings do not ask a CPU for what only GPUs do.

    Raises:
        SettingsError: They do; names the setting.
    """
    quantization = settings.base_model_quantization
    if device == "cpu" and quantization != "none":
        raise SettingsError(
            f"LLMTWIN_BASE_MODEL_QUANTIZATION={quantization} wants a GPU, and vLLM is to run on the CPU here: "
            "set it to none, or LLMTWIN_VLLM_DEVICE to gpu where there is one"
        )
    if device == "cpu" and settings.vllm_gpus > 1:
        raise SettingsError(
            f"LLMTWIN_VLLM_GPUS={settings.vllm_gpus} wants GPUs, and vLLM is to run on the CPU here: set it to 1"
        )


def server_command(settings: Settings, device: Device, python: str, model: str) -> list[str]:
    """Return the command that runs the server in the foreground.

    Args:
        settings: What to serve, and how.
        device: Where the model runs.
        python: The interpreter that has vLLM.
        model: Folder or hub id.

    Raises:
        SettingsError: Settings contradict each other or the model.
    """
    require_possible(settings, device)
    _require_suitable(settings, _config_of(model))
    command = [
        # Not `vllm serve`: the CPU build's script looks for a distribution by another name and fails.
        *(python, "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", model, "--served-model-name", SERVED_NAME),
        *("--host", settings.vllm_host, "--port", str(settings.vllm_port)),
        *("--max-model-len", str(settings.vllm_max_model_len), "--enable-prefix-caching"),
        *("--enable-lora", "--max-loras", str(settings.vllm_max_adapters)),
        *("--lora-target-modules", *SERVED_MODULES),
        *("--max-lora-rank", str(next(rank for rank in _RANKS if rank >= settings.vllm_max_lora_rank))),
        *("--middleware", "serving.vllm.guard.AdapterGuard"),
        *("--enable-request-id-headers", "--disable-access-log-for-endpoints", "/health,/metrics,/v1/models"),
    ]
    if device == "cpu":
        # While a prompt is read in pieces, vLLM sets a seeded request's generator back, and the CPU's cannot: it ends.
        tokens = max(_BATCHED_TOKENS, settings.vllm_max_model_len)
        whole = ("--no-enable-chunked-prefill", "--max-num-batched-tokens", str(tokens))
        return [*command, "--dtype", "bfloat16", *whole]
    command += ["--tensor-parallel-size", str(settings.vllm_gpus)]
    command += ["--gpu-memory-utilization", str(settings.vllm_gpu_memory)]
    # AWQ is what the model's files say; naming it would only keep vLLM from its fastest kernel for it.
    if settings.base_model_quantization in ("bitsandbytes", "fp8"):
        command += ["--quantization", settings.base_model_quantization]
    return command


def server_environment(settings: Settings, device: Device, prefix: Path, model: str) -> dict[str, str]:
    """Return all variables of the server.

    Args:
        settings: What to serve, and how.
        device: Where the model runs.
        prefix: The environment that holds vLLM, with ``bin`` and ``lib``.
        model: Folder or hub id.
    """
    inherited = {name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith(_FOREIGN)}
    variables = inherited | {
        "PYTHONPATH": str(settings.home),  # the guard is imported by its name
        "PYTHONUNBUFFERED": "1",
        "LLMTWIN_ADAPTERS_DIR": str(settings.registry / "adapters"),
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",  # behind the guard
        "VLLM_PLUGINS": "",  # among them one that loads an adapter by any path that a request names as its model
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_CACHE_ROOT": str(settings.data / "vllm" / "cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(settings.data / "vllm" / "cache" / "inductor"),
        # vLLM renames its processes; without this, the new name is written over the environment that holds our mark.
        "SPT_NOENV": "1",
    }
    if Path(model).is_dir():
        variables |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if device == "cpu":
        variables |= {
            "VLLM_CPU_KVCACHE_SPACE": str(settings.vllm_cpu_cache_gb),
            "VLLM_CPU_OMP_THREADS_BIND": thread_binding(_physical_cores()),
            # Threads that wait spin for this many milliseconds: through a token's many small steps, not between tokens.
            "KMP_BLOCKTIME": "1",
            # By name, and found in the folders that are searched: a space in a path would end it.
            "LD_PRELOAD": ":".join(library.name for library in preloaded_libraries(prefix)),
            "LD_LIBRARY_PATH": ":".join(filter(None, [str(prefix / "lib"), os.environ.get("LD_LIBRARY_PATH")])),
        }
    return variables


def preloaded_libraries(prefix: Path) -> list[Path]:
    """Return what vLLM's CPU build wants loaded before all else, where it is installed.

    Args:
        prefix: The environment that holds vLLM; Intel's OpenMP lies in it. The allocator is the system's
            (``libtcmalloc-minimal4`` on Debian); without it vLLM runs too, slower.
    """
    patterns = ("lib/*-linux-gnu", "lib64", "lib", "local/lib")
    allocators = [path for pattern in patterns for path in Path("/usr").glob(f"{pattern}/libtcmalloc_minimal.so.[0-9]")]
    openmp = [path for path in (prefix / "lib" / "libiomp5.so",) if path.is_file()]
    return allocators[:1] + openmp


def thread_binding(cores: list[int]) -> str:
    """Return which cores its threads are bound to, in vLLM's words: ``0,1`` or ``auto``."""
    return ",".join(map(str, cores)) if len(cores) <= _FEW_CORES else "auto"


def _physical_cores() -> list[int]:
    """Return one logical CPU of each core that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    seen: set[str] = set()
    cores = []
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = siblings.read_text().strip() if siblings.is_file() else str(cpu)
        if core not in seen:
            seen.add(core)
            cores.append(cpu)
    return cores


def _config_of(model: str) -> dict[str, Any]:
    """Return a folder's ``config.json``; nothing for a hub id, which only vLLM can look up."""
    file = Path(model) / "config.json"
    if not file.is_file():
        return {}
    try:
        config = json.loads(file.read_bytes())
    except ValueError as error:
        raise SettingsError(f"LLMTWIN_BASE_MODEL: {file} cannot be read ({error}): download the model again") from error
    return config if isinstance(config, dict) else {}


def _require_suitable(settings: Settings, config: dict[str, Any]) -> None:
    quantization = settings.base_model_quantization
    found = (config.get("quantization_config") or {}).get("quant_method")
    if config and quantization == "awq" and found != "awq":
        raise SettingsError(
            f"LLMTWIN_BASE_MODEL_QUANTIZATION=awq wants a model that is quantized so, and {settings.base_model} is "
            f"{found or 'not quantized'}: name such a model in LLMTWIN_BASE_MODEL, or use bitsandbytes or fp8"
        )
    if quantization in ("bitsandbytes", "fp8") and found not in (None, quantization):
        raise SettingsError(
            f"LLMTWIN_BASE_MODEL_QUANTIZATION={quantization}, but {settings.base_model} is quantized already, by "
            f"{found}: set it to none"
        )
    window = config.get("max_position_embeddings")
    if isinstance(window, int) and settings.vllm_max_model_len > window:
        raise SettingsError(
            f"LLMTWIN_VLLM_MAX_MODEL_LEN={settings.vllm_max_model_len} is more than the {window} tokens that "
            f"{settings.base_model} was made for"
        )
