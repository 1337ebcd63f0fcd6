"""``twin`` is the version in production, ``twin@<version>`` any of the registry, ``base`` none."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest
from tests.adapters import BASE_MODEL, save_adapter
from tests.integration.serving.gateway.conftest import Gateway, ScriptedVllm, Serve

from llmtwin.registry import Registry
from serving.gateway import models

QUESTION = [{"role": "user", "content": "What do you think of queues?"}]


@pytest.fixture
def registry(own: Gateway, tmp_path: Path) -> Registry:
    registry = Registry(own.settings.registry)
    for seed in (1, 2):
        registry.register(save_adapter(tmp_path / f"adapter-{seed}", seed=seed), BASE_MODEL, 16)
    registry.accept("1")
    registry.promote("1")
    return registry


def ask(own: Gateway, model: str) -> str:
    answer = own.openai().chat.completions.create(model=model, messages=QUESTION, extra_body={"rag": False})
    return answer.model


def test_the_twin_is_what_is_in_production_from_the_next_request_on(
    own: Gateway, vllm: ScriptedVllm, registry: Registry
) -> None:
    assert ask(own, "twin") == "twin@1"
    registry.accept("2")
    registry.promote("2")
    assert ask(own, "twin") == "twin@2"
    registry.rollback()
    assert ask(own, "twin") == "twin@1"
    assert [entry["body"]["model"] for entry in vllm.seen] == ["twin@1", "twin@2", "twin@1"]


def test_every_version_can_be_asked_for(own: Gateway, registry: Registry) -> None:
    assert ask(own, "twin@2") == "twin@2"
    assert ask(own, "base") == "base"
    with pytest.raises(openai.NotFoundError):
        ask(own, "twin@3")


def test_a_model_server_that_was_restarted_is_given_its_adapter_again(
    own: Gateway, vllm: ScriptedVllm, registry: Registry
) -> None:
    assert ask(own, "twin") == "twin@1"
    vllm.script()  # which forgets adapters, as a restart does
    assert ask(own, "twin") == "twin@1"


def test_no_request_waits_for_what_the_model_server_has_loaded_once_that_is_known(
    serve: Serve, vllm: ScriptedVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = serve(gateway_timeout_seconds=10)
    monkeypatch.setattr(models, "_FRESH_SECONDS", 0.0)
    assert ask(own, "base") == "base"
    vllm.script(list_held=True)
    assert ask(own, "base") == "base"


def has_room(own: Gateway) -> bool:
    body = {"model": "base", "messages": QUESTION, "max_tokens": 1500, "rag": {}}
    return own.http.post("/v1/chat/completions", json=body).status_code == 200


def test_a_model_server_that_came_back_with_another_window_is_believed_soon(
    own: Gateway, vllm: ScriptedVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "_FRESH_SECONDS", 0.0)
    assert has_room(own)
    vllm.script(window=1024)
    vllm.wait_until(lambda _seen: not has_room(own))


def test_what_the_model_server_had_long_ago_is_not_believed_at_all(
    own: Gateway, vllm: ScriptedVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert has_room(own)
    vllm.script(window=1024)
    monkeypatch.setattr(models, "_BELIEVED_SECONDS", 0.0)
    assert not has_room(own)


def test_the_list_says_what_stands_behind_the_twin(own: Gateway, registry: Registry) -> None:
    listed = {model.id: model.model_extra for model in own.openai().models.list()}
    assert listed["twin"] == {"root": "twin@1"}
    assert listed["twin@1"]["status"] == "production"
    assert listed["twin@2"]["status"] == "candidate"
    assert own.openai().models.retrieve("twin@2").id == "twin@2"


def test_a_damaged_registry_is_503(own: Gateway, registry: Registry) -> None:
    (registry.folder / "index.json").write_text("{")
    for path in ("/v1/models", "/v1/models/twin"):
        assert own.http.get(path).status_code == 503
    body = {"model": "twin", "messages": QUESTION}
    response = own.http.post("/v1/chat/completions", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "registry_unavailable")
    assert own.http.post("/v1/chat/completions", json=body | {"model": "base"}).status_code == 200


def test_an_adapter_that_was_exchanged_is_not_loaded_and_rollback_leads_out(
    own: Gateway, vllm: ScriptedVllm, registry: Registry
) -> None:
    registry.accept("2")
    registry.promote("2")
    weights = registry.folder_of("2") / "adapter_model.safetensors"
    weights.chmod(0o644)
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(openai.InternalServerError, match="registry"):
        ask(own, "twin")
    assert vllm.loaded == set()
    registry.rollback()
    assert ask(own, "twin") == "twin@1"
