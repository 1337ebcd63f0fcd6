"""Versions are switched back and forth while clients ask without a pause: none of them notices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.adapters import BASE_MODEL, save_adapter
from tests.integration.promotion.conftest import Gateway, ScriptedVllm, Train
from tests.integration.promotion.hammer import Hammer
from tests.integration.serving.gateway.conftest import served

from llmtwin.local.ports import free_port
from llmtwin.promotion import promote, rollback
from llmtwin.registry import Registry
from llmtwin.settings import Settings


def test_no_request_fails_while_versions_are_switched(own: Gateway, vllm: ScriptedVllm, train: Train) -> None:
    vllm.script(tokens=12, interval=0.005)
    versions = [train() for _ in range(3)]
    promote(versions[0], own.settings)
    with Hammer(own) as hammer:
        for number in range(12):
            time.sleep(0.1)
            if number % 4 == 3:
                rollback(own.settings)
            else:
                promote(versions[(number + 1) % 3], own.settings)
    assert hammer.failures == []
    assert set(hammer.answered) == {"twin@1", "twin@2", "twin@3"}


def test_no_request_fails_when_vllm_loses_its_adapters_in_between(
    own: Gateway, vllm: ScriptedVllm, train: Train
) -> None:
    versions = [train() for _ in range(2)]
    promote(versions[0], own.settings)
    with Hammer(own) as hammer:
        for number in range(8):
            vllm.script(tokens=4)  # which forgets adapters, as a restart does
            time.sleep(0.1)
            promote(versions[(number + 1) % 2], own.settings)
    assert hammer.failures == []
    assert set(hammer.answered) == {"twin@1", "twin@2"}


@pytest.fixture
def real(vllm_server: Settings, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway before the real vLLM, with two adapters in the registry."""
    changes = {"gateway_port": free_port(), "gateway_rate_limit": "", "vllm_url": vllm_server.vllm}
    changes |= {"qdrant_url": f"http://127.0.0.1:{free_port()}", "gateway_keys_file": tmp_path / "keys.json"}
    changes |= {"traces_dir": tmp_path / "traces"}
    with served(vllm_server.model_copy(update=changes)) as gateway:
        yield gateway


@pytest.mark.llm
def test_no_request_to_the_real_vllm_fails_and_rollback_takes_no_longer_than_loading(
    real: Gateway, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    registry = Registry(real.settings.registry)
    # Small changes to one layer: the model still writes words.
    folders = [save_adapter(tmp_path / str(seed), seed=seed, lora_alpha=0.01) for seed in (1, 2)]
    versions = [registry.register(folder, BASE_MODEL, 16).version for folder in folders]
    promote(versions[0], real.settings)
    seconds = []
    with Hammer(real, clients=4) as hammer:
        for _ in range(3):
            promote(versions[1], real.settings)
            hammer.wait_for(f"twin@{versions[1]}")
            began = time.monotonic()
            assert rollback(real.settings).now == versions[0]
            seconds.append(time.monotonic() - began)
            hammer.wait_for(f"twin@{versions[0]}")
    assert hammer.failures == []
    assert set(hammer.answered) == {f"twin@{version}" for version in versions}
    record_property("rollback seconds", seconds)
    print("rollback seconds", seconds, "answers", dict(hammer.answered))
