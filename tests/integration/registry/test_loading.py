"""Versions brought into a scripted vLLM; tests/integration/serving/vllm has the real one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.adapters import BASE_MODEL, save_adapter
from tests.integration.serving.gateway.conftest import ScriptedVllm
from tests.scripted_server import JsonHandler, serving

from llmtwin.errors import VllmError
from llmtwin.registry import Registry, load
from llmtwin.settings import Settings


@pytest.fixture
def settings(gateway_settings: Settings, tmp_path: Path) -> Settings:
    Registry(gateway_settings.registry).register(save_adapter(tmp_path / "trained"), BASE_MODEL, 16)
    return gateway_settings


def test_what_is_loaded_already_is_not_read_again(settings: Settings, vllm: ScriptedVllm) -> None:
    """An adapter that was loaded in place is read again with every step of every answer."""
    vllm.script(load_delay=0.001)  # which notes what is loaded
    for _ in range(3):
        assert load("1", settings) == "twin@1"
    folder = str(Registry(settings.registry).folder_of("1"))
    assert [entry["body"] for entry in vllm.seen] == [{"lora_name": "twin@1", "lora_path": folder}]
    vllm.script()
    load("1", settings)
    assert vllm.loaded == {"twin@1"}


class HomePage(JsonHandler):
    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self.answer(200, b"<!doctype html><title>Welcome</title>")


class AnotherApi(JsonHandler):
    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self.answer(200, {"object": "list", "data": "none"})


@pytest.mark.parametrize("handler", [HomePage, AnotherApi])
def test_what_is_no_vllm_is_an_error_that_says_so(settings: Settings, handler: type[JsonHandler]) -> None:
    with serving(handler) as url, pytest.raises(VllmError, match=f"what answers at {url} is no vLLM") as caught:
        load("1", settings.model_copy(update={"vllm_url": url}))
    assert not caught.value.answered


def test_loading_at_the_same_time_does_no_harm(settings: Settings, vllm: ScriptedVllm) -> None:
    vllm.script(load_delay=0.2)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: load("1", settings), range(4))) == ["twin@1"] * 4
    assert vllm.loaded == {"twin@1"}


def test_an_adapter_of_the_same_name_from_another_registry_is_an_error(
    settings: Settings, vllm: ScriptedVllm, tmp_path: Path
) -> None:
    load("1", settings)
    other = settings.model_copy(update={"registry_dir": tmp_path / "other"})
    Registry(other.registry).register(save_adapter(tmp_path / "second", seed=2), BASE_MODEL, 16)
    with pytest.raises(VllmError, match=r"vLLM has loaded twin@1 from .*registry/adapters/1, not .*other"):
        load("1", other)
