from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmtwin.base_model import base_model_path
from llmtwin.errors import LocalStackError, SettingsError
from llmtwin.settings import SMOLLM2, Settings

NO_PYTHON = Path("/bin/false")


def settings(tmp_path: Path, **update: Any) -> Settings:
    return Settings(home=tmp_path, data_dir=tmp_path / "data", **update)


def test_a_folder_is_served_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    for name in ("mine", str(tmp_path / "mine")):
        assert base_model_path(settings(tmp_path, base_model=name), NO_PYTHON) == str(tmp_path / "mine")


def test_a_hub_id_is_left_to_vllm(tmp_path: Path) -> None:
    assert base_model_path(settings(tmp_path, base_model="org/model"), NO_PYTHON) == "org/model"


@pytest.mark.parametrize("name", ["/nowhere/model", "./model", "~/no-such-model"])
def test_a_folder_that_does_not_exist_is_no_hub_id(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="LLMTWIN_BASE_MODEL: there is no folder"):
        base_model_path(settings(tmp_path, base_model=name), NO_PYTHON)


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=r"has no config\.json"):
        base_model_path(settings(tmp_path, base_model="empty"), NO_PYTHON)


def test_the_default_model_is_taken_from_the_cache(tmp_path: Path) -> None:
    cached = tmp_path / "data" / "models" / "SmolLM2-135M-Instruct"
    cached.mkdir(parents=True)
    assert base_model_path(settings(tmp_path), NO_PYTHON) == str(cached)
    assert settings(tmp_path).base_model == SMOLLM2


def test_a_model_that_cannot_be_built_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match=r"cannot be built.*LLMTWIN_BASE_MODEL"):
        base_model_path(settings(tmp_path), NO_PYTHON)
    assert list((tmp_path / "data" / "models").iterdir()) == []
