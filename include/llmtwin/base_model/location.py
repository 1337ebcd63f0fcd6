"""Where the model under the adapters is: a folder, a hub id, or the small one that is built from its PyPI package."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import structlog

from llmtwin.errors import LocalStackError, SettingsError
from llmtwin.files import sync_folder
from llmtwin.settings import SMOLLM2, Settings

log = structlog.get_logger(__name__)

_BUILDER = Path(__file__).with_name("smollm2.py")


def base_model_path(settings: Settings, python: Path) -> str:
    """Return what is to be loaded: a folder, or a hub id as it is.

    Args:
        settings: Name the base model.
        python: An interpreter with transformers and the model's package, should it have to be built.

    Raises:
        SettingsError: The folder does not exist, or holds no model.
        LocalStackError: The default model cannot be built.
    """
    name = settings.base_model
    folder = settings.home / Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise SettingsError(f"LLMTWIN_BASE_MODEL: {folder} holds no model, for it has no config.json")
        return str(folder)
    if name.startswith((".", "/", "~")):
        raise SettingsError(f"LLMTWIN_BASE_MODEL: there is no folder {folder}")
    return str(_built(settings.models.absolute(), python)) if name == SMOLLM2 else name


def _built(models: Path, python: Path) -> Path:
    """Return the folder of the default model, building it if need be. Two processes at once do no harm."""
    folder = models / SMOLLM2.rpartition("/")[2]
    if folder.is_dir():
        return folder
    models.mkdir(parents=True, exist_ok=True)
    log.info("building the base model: half a minute, once", model=SMOLLM2, folder=str(folder))
    working = Path(tempfile.mkdtemp(prefix=".building-", dir=models))
    try:
        _build(python, working)
        working.chmod(0o755)
        try:
            working.rename(folder)
        except OSError:
            # Another process was first, and its folder is complete, since it too arrived by rename.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(working, ignore_errors=True)
    sync_folder(models)
    return folder


def _build(python: Path, target: Path) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = [str(python), str(_BUILDER), str(target)]
    done = subprocess.run(command, env=os.environ | offline, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["it says nothing"]
        raise LocalStackError(
            f"the base model cannot be built: {reason[0]}; or name a folder or hub id in LLMTWIN_BASE_MODEL"
        )
    for file in target.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
        file.chmod(0o644)
    sync_folder(target)
