"""The part of the local stack that answers: Qdrant, vLLM, the gateway."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from tests.conftest import HOME
from tests.waiting import eventually

from llmtwin.errors import LocalStackError, PortInUseError
from llmtwin.local.ports import free_port
from llmtwin.local.processes import owned_by
from llmtwin.local.services import services
from llmtwin.local.stack import LocalStack
from llmtwin.settings import Settings, settings_environment

PARTS = ("qdrant", "vllm", "gateway")


def settings_in(data: Path, **update: object) -> Settings:
    """Settings with free ports, and what was installed for the whole suite."""
    installed = HOME / ".local" / "vllm"
    installed.mkdir(parents=True, exist_ok=True)
    data.mkdir()
    (data / "vllm").symlink_to(installed)
    values: dict[str, object] = {
        "home": HOME,
        "data_dir": data,
        "models_dir": HOME / ".local" / "models",
        "qdrant_url": None,
        "vllm_url": None,
        "vllm_device": "cpu",
        "qdrant_port": free_port(),
        "vllm_port": free_port(),
        "gateway_port": free_port(),
    }
    return Settings.model_validate(values | update)


def part_of(settings: Settings, *names: str) -> LocalStack:
    return LocalStack(settings, [service for service in services(settings, with_llm=True) if service.name in names])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalStack, Settings]]:
    settings = settings_in(tmp_path_factory.mktemp("llm") / "my data")
    stack = part_of(settings, *PARTS)
    try:
        stack.up(timeout=300)
        yield stack, settings
    finally:
        stack.down()


@pytest.mark.llm
def test_the_gateway_answers_with_the_base_model(stack: tuple[LocalStack, Settings]) -> None:
    assert {status.name: status.state for status in stack[0].status()} == dict.fromkeys(PARTS, "ready")
    wanted = {
        "model": "base",
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": 16,
        "temperature": 0,
    }
    url = f"http://127.0.0.1:{stack[1].gateway_port}/v1/chat/completions"
    answer = httpx.post(url, json=wanted, timeout=120.0, trust_env=False).raise_for_status().json()
    assert "Paris" in answer["choices"][0]["message"]["content"]


@pytest.mark.llm
def test_everything_listens_on_the_loopback_interface_only(stack: tuple[LocalStack, Settings]) -> None:
    listening = {
        connection.laddr.ip
        for process in owned_by(stack[1].data)
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


@pytest.mark.llm
def test_a_stack_that_has_an_llm_is_known_as_such(stack: tuple[LocalStack, Settings]) -> None:
    assert set(PARTS) <= set(LocalStack(stack[1]).names())
    environment = os.environ | settings_environment(stack[1])
    command = [sys.executable, "-m", "llmtwin.cli", "doctor"]
    doctor = subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout
    assert "✓ vLLM: 0." in doctor
    assert "✓ gateway: ready" in doctor
    assert "twin is the base model" in doctor


def workers(settings: Settings) -> list[psutil.Process]:
    return [process for process in owned_by(settings.data) if "VLLM" in "".join(process.cmdline()[:1])]


@pytest.mark.llm
def test_intels_openmp_is_loaded_although_the_path_has_a_space(stack: tuple[LocalStack, Settings]) -> None:
    loaded = {Path(mapped.path).name for process in workers(stack[1]) for mapped in process.memory_maps()}
    assert "libiomp5.so" in loaded


@pytest.mark.llm
def test_vllm_stops_with_all_its_processes(stack: tuple[LocalStack, Settings]) -> None:
    assert workers(stack[1])
    stack[0].supervisor.stop_programs(["vllm"])  # SIGTERM, to the one process that supervisor knows
    eventually(lambda: not workers(stack[1]), 15)
    assert stack[0].down() is True
    assert owned_by(stack[1].data) == []


@pytest.mark.stack
def test_a_taken_port_is_named_with_both_ways_out(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "data")
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", settings.vllm_port))
        squatter.listen()
        with pytest.raises(PortInUseError, match=r"wanted by vllm.*LLMTWIN_VLLM_PORT.*VLLM_URL"):
            part_of(settings, *PARTS).up()
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", settings.gateway_port))
        squatter.listen()
        with pytest.raises(PortInUseError, match=r"wanted by gateway.*LLMTWIN_GATEWAY_PORT"):
            part_of(settings, *PARTS).up()
    assert owned_by(settings.data) == []


@pytest.mark.stack
def test_an_llm_is_not_put_under_a_stack_that_runs_without(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "data")
    stack = part_of(settings, "qdrant")
    try:
        stack.up()
        with pytest.raises(LocalStackError, match="running without an LLM: `llmtwin down`"):
            LocalStack(settings, with_llm=True).up()
    finally:
        stack.down()


@pytest.mark.stack
def test_what_cannot_be_served_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "data", base_model_quantization="fp8")
    with pytest.raises(LocalStackError, match="LLMTWIN_BASE_MODEL_QUANTIZATION=fp8 wants a GPU"):
        part_of(settings, *PARTS).up()
    assert owned_by(settings.data) == []
