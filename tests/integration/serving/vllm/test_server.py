"""The real vLLM on the CPU, one for the whole session; each test registers adapters of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.adapters import save_adapter

from llmtwin.errors import RegistryError, VllmError
from llmtwin.local.ports import free_port
from llmtwin.registry import Registry, load
from llmtwin.settings import Settings

pytestmark = pytest.mark.llm

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
def client(vllm_server: Settings) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=vllm_server.vllm, timeout=120.0, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def trained(vllm_server: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter as peft saves it, on the base model that is served; its weights are random and large."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    base = LlamaForCausalLM.from_pretrained(vllm_server.models / "SmolLM2-135M-Instruct")
    config = LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    folder = tmp_path_factory.mktemp("trained")
    get_peft_model(base, config).save_pretrained(folder)
    return folder


def register(settings: Settings, folder: Path) -> str:
    registry = Registry(settings.registry)
    return registry.register(folder, settings.base_model, settings.vllm_max_lora_rank).version


def answer(client: httpx.Client, model: str, **options: Any) -> dict[str, Any]:
    wanted = {"model": model, "messages": QUESTION, "max_tokens": 16, "temperature": 0, "logprobs": True} | options
    found: dict[str, Any] = client.post("/v1/chat/completions", json=wanted).raise_for_status().json()
    return found


def logprobs(client: httpx.Client, model: str) -> list[float]:
    return [token["logprob"] for token in answer(client, model)["choices"][0]["logprobs"]["content"]]


def served(client: httpx.Client) -> set[str]:
    return {model["id"] for model in client.get("/v1/models").raise_for_status().json()["data"]}


def test_the_base_model_answers(vllm_server: Settings, client: httpx.Client) -> None:
    assert "Paris" in answer(client, "base")["choices"][0]["message"]["content"]
    base = next(model for model in client.get("/v1/models").json()["data"] if model["id"] == "base")
    assert base["root"] == str(vllm_server.models / "SmolLM2-135M-Instruct")
    assert base["max_model_len"] == vllm_server.vllm_max_model_len


def test_an_answer_can_be_made_to_follow_a_schema(client: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    content = answer(client, "base", response_format=wanted, max_tokens=64)["choices"][0]["message"]["content"]
    assert json.loads(content) == {"city": "Paris"}


def test_an_adapter_of_peft_is_loaded_while_it_serves_and_changes_what_is_said(
    vllm_server: Settings, client: httpx.Client, trained: Path
) -> None:
    name = load(register(vllm_server, trained), vllm_server)
    found = answer(client, name)
    assert found["model"] == name
    first = logprobs(client, name)
    assert first != logprobs(client, "base")
    assert load(name.removeprefix("twin@"), vllm_server) == name
    assert logprobs(client, name) == first
    assert name in served(client)


def test_more_versions_than_are_in_use_at_once_are_served(
    vllm_server: Settings, client: httpx.Client, tmp_path: Path
) -> None:
    count = vllm_server.vllm_max_adapters + 1
    versions = [register(vllm_server, save_adapter(tmp_path / str(seed), seed=seed)) for seed in range(count)]
    names = [load(version, vllm_server) for version in versions]
    assert len({tuple(logprobs(client, name)) for name in names}) == count


def test_requests_for_the_log_probabilities_of_prompts_do_it_no_harm(
    vllm_server: Settings, client: httpx.Client, trained: Path
) -> None:
    name = load(register(vllm_server, trained), vllm_server)

    def ask(number: int) -> list[Any]:
        wanted = {"model": name, "prompt": f"{number} is a number. " * 20, "max_tokens": 1, "prompt_logprobs": 0}
        found: list[Any] = client.post("/v1/completions", json=wanted).raise_for_status().json()["choices"]
        return list(found[0]["prompt_logprobs"])

    with ThreadPoolExecutor(4) as pool:
        assert all(len(found) > 50 for found in pool.map(ask, range(4)))


def test_no_door_leads_to_an_adapter_outside_the_registry(
    vllm_server: Settings, client: httpx.Client, trained: Path
) -> None:
    before = served(client)
    outside = str(trained)
    inside = Registry(vllm_server.registry).folder_of(register(vllm_server, trained))
    bodies: list[tuple[str, dict[str, Any], int]] = [
        ("/v1/load_lora_adapter", {"lora_name": "evil", "lora_path": outside}, 403),
        ("/v1/load_lora_adapter", {"lora_name": f"twin@{trained.name}", "lora_path": outside}, 403),
        ("/v1/load_lora_adapter", {"lora_name": "twin@1", "lora_path": f"{inside}/../../../../{trained.name}"}, 403),
        ("/v1/load_lora_adapter", {"lora_name": "base", "lora_path": str(inside)}, 403),
        ("/v1/load_lora_adapter/", {"lora_name": "evil", "lora_path": outside}, 404),
        ("/adapters", {"name": "evil", "src": outside}, 404),
        ("/v1/chat/completions", {"model": outside, "messages": QUESTION}, 404),
        ("/v1/unload_lora_adapter", {"lora_name": "base"}, 404),
    ]
    for path, body, status in bodies:
        assert client.post(path, json=body).status_code == status, (path, body)
    headers = {"X-Amzn-SageMaker-Adapter-Identifier": outside}
    assert client.post("/invocations", json={"messages": QUESTION}, headers=headers).status_code == 404
    assert served(client) == before


def test_long_prompts_with_seeds_at_the_same_time(client: httpx.Client) -> None:
    def ask(number: int) -> str:
        message = {"role": "user", "content": f"{number} " + "and then the queue was empty again " * 220}
        body = {"model": "base", "messages": [message], "max_tokens": 4, "temperature": 1.0, "seed": number}
        found = client.post("/v1/chat/completions", json=body).raise_for_status().json()
        assert found["usage"]["prompt_tokens"] > 1_500
        return str(found["choices"][0]["finish_reason"])

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(ask, range(6))) == ["length"] * 6


def test_a_version_whose_files_were_exchanged_is_not_loaded(
    vllm_server: Settings, client: httpx.Client, tmp_path: Path
) -> None:
    version = register(vllm_server, save_adapter(tmp_path / "registered", seed=1))
    weights = Registry(vllm_server.registry).folder_of(version) / "adapter_model.safetensors"
    weights.chmod(0o644)
    other = save_adapter(tmp_path / "other", seed=2) / "adapter_model.safetensors"
    weights.write_bytes(other.read_bytes())
    with pytest.raises(RegistryError, match="not what was registered"):
        load(version, vllm_server)
    assert f"twin@{version}" not in served(client)


def test_an_adapter_of_another_architecture_is_refused_and_vllm_goes_on(
    vllm_server: Settings, client: httpx.Client, tmp_path: Path
) -> None:
    version = register(vllm_server, save_adapter(tmp_path, width=1024))
    with pytest.raises(VllmError, match=f"vLLM refuses version {version}"):
        load(version, vllm_server)
    assert f"twin@{version}" not in served(client)
    assert "Paris" in answer(client, "base")["choices"][0]["message"]["content"]


def test_a_version_that_nobody_registered_is_an_error(vllm_server: Settings) -> None:
    with pytest.raises(RegistryError, match="no version 'none'"):
        load("none", vllm_server)


def test_a_vllm_that_is_down_is_an_error_that_says_how_to_start_it(vllm_server: Settings, tmp_path: Path) -> None:
    version = register(vllm_server, save_adapter(tmp_path))
    down = vllm_server.model_copy(update={"vllm_port": free_port()})
    with pytest.raises(VllmError, match=r"does not answer at http://127\.0\.0\.1:\d+ .*llmtwin up --with-llm"):
        load(version, down)


def test_it_listens_on_the_loopback_interface_only(vllm_server: Settings) -> None:
    server = next(
        connection.pid
        for connection in psutil.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == vllm_server.vllm_port
    )
    processes = [psutil.Process(server), *psutil.Process(server).children(recursive=True)]
    listening = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
