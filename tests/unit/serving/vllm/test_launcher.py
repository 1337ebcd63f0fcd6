from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmtwin.errors import SettingsError
from llmtwin.registry import SERVED_MODULES
from llmtwin.settings import Settings
from serving.vllm import launcher
from serving.vllm.launcher import device_of, preloaded_libraries, server_command, server_environment, thread_binding


def settings(tmp_path: Path, **update: Any) -> Settings:
    return Settings(home=tmp_path, data_dir=tmp_path / "data", **update)


def model(tmp_path: Path, **config: Any) -> str:
    (tmp_path / "model").mkdir(exist_ok=True)
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    return str(tmp_path / "model")


def options(command: list[str]) -> dict[str, str]:
    """The command's options with their values; a switch has none."""
    following = [*command[1:], "--"]
    return {
        name: "" if value.startswith("--") else value
        for name, value in zip(command, following, strict=True)
        if name.startswith("--")
    }


def test_on_the_cpu_it_serves_the_base_model_in_bfloat16_with_adapters_behind_the_guard(tmp_path: Path) -> None:
    command = server_command(settings(tmp_path, vllm_port=8123), "cpu", "/env/bin/python", model(tmp_path))
    assert command[:3] == ["/env/bin/python", "-m", "vllm.entrypoints.openai.api_server"]
    found = options(command)
    assert found["--model"] == str(tmp_path / "model")
    assert (found["--served-model-name"], found["--dtype"]) == ("base", "bfloat16")
    assert (found["--host"], found["--port"]) == ("127.0.0.1", "8123")
    assert (found["--max-model-len"], found["--max-lora-rank"], found["--max-loras"]) == ("2048", "16", "2")
    assert found["--middleware"] == "serving.vllm.guard.AdapterGuard"
    assert {"--enable-lora", "--enable-prefix-caching"} <= found.keys()
    assert "--quantization" not in found
    # Not lm_head: where that may have an adapter, asking for a prompt's log-probabilities ends the process.
    after = command.index("--lora-target-modules") + 1
    assert command[after : command.index("--max-lora-rank")] == list(SERVED_MODULES)


@pytest.mark.parametrize(("wanted", "given"), [(1, "1"), (2, "8"), (16, "16"), (17, "32"), (256, "256")])
def test_a_rank_that_vllm_does_not_know_becomes_the_next_higher(tmp_path: Path, wanted: int, given: str) -> None:
    command = server_command(settings(tmp_path, vllm_max_lora_rank=wanted), "cpu", "python", "org/model")
    assert options(command)["--max-lora-rank"] == given


@pytest.mark.parametrize(
    ("quantization", "config", "option"),
    [
        ("none", {}, None),
        ("bitsandbytes", {}, "bitsandbytes"),
        ("fp8", {}, "fp8"),
        # Not named: vLLM would take its slow kernel for it.
        ("awq", {"quantization_config": {"quant_method": "awq"}}, None),
    ],
)
def test_on_a_gpu_the_model_is_quantized_as_the_setting_says(
    tmp_path: Path, quantization: str, config: dict[str, Any], option: str | None
) -> None:
    wanted = settings(tmp_path, base_model_quantization=quantization, vllm_gpus=2, vllm_gpu_memory=0.5)
    found = options(server_command(wanted, "gpu", "python", model(tmp_path, model_type="llama", **config)))
    assert found.get("--quantization") == option
    assert (found["--tensor-parallel-size"], found["--gpu-memory-utilization"]) == ("2", "0.5")
    assert "--dtype" not in found


@pytest.mark.parametrize(
    ("update", "config", "message"),
    [
        ({"base_model_quantization": "bitsandbytes"}, {}, "BASE_MODEL_QUANTIZATION=bitsandbytes wants a GPU"),
        ({"base_model_quantization": "awq"}, {}, "BASE_MODEL_QUANTIZATION=awq wants a GPU"),
        ({"base_model_quantization": "fp8"}, {}, "BASE_MODEL_QUANTIZATION=fp8 wants a GPU"),
        ({"vllm_gpus": 2}, {}, "VLLM_GPUS=2 wants GPUs"),
        ({"vllm_max_model_len": 9000}, {"max_position_embeddings": 8192}, "more than the 8192 tokens"),
    ],
)
def test_what_the_cpu_cannot_do_is_an_error_that_names_the_setting(
    tmp_path: Path, update: dict[str, Any], config: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        server_command(settings(tmp_path, **update), "cpu", "python", model(tmp_path, **config))


@pytest.mark.parametrize(
    ("quantization", "method", "message"),
    [
        ("awq", None, "not quantized: name such a model"),
        ("awq", "gptq", "is gptq"),
        ("fp8", "awq", "quantized already, by awq"),
    ],
)
def test_a_quantization_that_does_not_fit_the_model_is_an_error(
    tmp_path: Path, quantization: str, method: str | None, message: str
) -> None:
    config = {"model_type": "llama"} | ({"quantization_config": {"quant_method": method}} if method else {})
    with pytest.raises(SettingsError, match=message):
        server_command(
            settings(tmp_path, base_model_quantization=quantization), "gpu", "python", model(tmp_path, **config)
        )


def test_a_damaged_model_is_an_error(tmp_path: Path) -> None:
    Path(model(tmp_path), "config.json").write_text("{")
    with pytest.raises(SettingsError, match=r"config\.json cannot be read"):
        server_command(settings(tmp_path), "cpu", "python", str(tmp_path / "model"))


def test_the_environment_holds_what_the_server_needs_and_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "LLMTWIN_LINKEDIN_PASSWORD",
        "AIRFLOW__CORE__FERNET_KEY",
        "RABBITMQ_URL",
        "VLLM_API_KEY",
        "PYTHONHOME",
    ):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LLMTWIN_OWNER", "/stack")
    monkeypatch.setenv("HF_TOKEN", "for-the-hub")
    monkeypatch.setenv("VLLM_PLUGINS", "lora_filesystem_resolver")
    found = server_environment(settings(tmp_path, vllm_cpu_cache_gb=3), "cpu", tmp_path / "env", model(tmp_path))
    assert "secret" not in found.values()
    assert (found["LLMTWIN_OWNER"], found["HF_TOKEN"], found["VLLM_PLUGINS"]) == ("/stack", "for-the-hub", "")
    assert found["LLMTWIN_ADAPTERS_DIR"] == str(tmp_path / "data" / "registry" / "adapters")
    assert found["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert found["HF_HUB_OFFLINE"] == "1"
    assert found["VLLM_NO_USAGE_STATS"] == "1"


def test_a_hub_id_may_be_fetched_and_a_gpu_needs_no_preloading(tmp_path: Path) -> None:
    found = server_environment(settings(tmp_path), "gpu", tmp_path / "env", "org/model")
    assert not {"HF_HUB_OFFLINE", "LD_PRELOAD", "VLLM_CPU_OMP_THREADS_BIND"} & found.keys()


def test_a_space_in_the_path_does_not_end_the_list_of_preloaded_libraries(tmp_path: Path) -> None:
    prefix = tmp_path / "my env"
    (prefix / "lib").mkdir(parents=True)
    (prefix / "lib" / "libiomp5.so").touch()
    found = server_environment(settings(tmp_path), "cpu", prefix, "org/model")
    assert found["LD_PRELOAD"].split(":")[-1] == "libiomp5.so"
    assert str(prefix / "lib") in found["LD_LIBRARY_PATH"].split(":")


def test_only_libraries_that_are_there_are_preloaded(tmp_path: Path) -> None:
    assert not [path for path in preloaded_libraries(tmp_path) if path.is_relative_to(tmp_path)]
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libiomp5.so").touch()
    found = preloaded_libraries(tmp_path)
    assert found[-1] == tmp_path / "lib" / "libiomp5.so"
    assert all(path.is_file() for path in found)


@pytest.mark.parametrize(("cores", "binding"), [([0], "0"), ([0, 1], "0,1"), ([2, 4, 6, 8], "2,4,6,8")])
def test_with_few_cores_threads_are_bound_to_all_of_them(cores: list[int], binding: str) -> None:
    assert thread_binding(cores) == binding


def test_with_many_cores_vllm_binds_its_threads_itself() -> None:
    assert thread_binding(list(range(5))) == "auto"


def test_the_device_is_what_the_machine_has_unless_it_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for has_gpu, device in ((True, "gpu"), (False, "cpu")):
        monkeypatch.setattr(launcher, "has_gpu", lambda found=has_gpu: found)
        assert device_of(settings(tmp_path)) == device
        assert device_of(settings(tmp_path, vllm_device="cpu")) == "cpu"
