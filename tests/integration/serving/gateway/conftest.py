"""A gateway on a real port, before a scripted vLLM in a process of its own and the real Qdrant."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import httpx
import pytest
import uvicorn
from openai import OpenAI
from tests.chat_model import save_tokenizer

from llmtwin.local.ports import free_port
from llmtwin.settings import Settings
from serving.gateway.__main__ import configuration
from serving.gateway.trace import Trace, TraceSink

HOME = Path(__file__).resolve().parents[4]


@dataclass(frozen=True)
class ScriptedVllm:
    """The scripted server."""

    url: str

    def script(self, **rules: Any) -> None:
        """Start over, with these rules."""
        httpx.post(f"{self.url}/script", json=rules, trust_env=False).raise_for_status()

    @property
    def seen(self) -> list[dict[str, Any]]:
        """The requests that came since."""
        answer: list[dict[str, Any]] = httpx.get(f"{self.url}/seen", trust_env=False).json()
        return answer

    @property
    def loaded(self) -> set[str]:
        """The names of the adapters that it has loaded."""
        models = httpx.get(f"{self.url}/v1/models", trust_env=False).json()["data"]
        return {model["id"] for model in models if model["parent"]}

    def wait_until(self, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Return what was seen once that is so."""
        deadline = time.monotonic() + 20
        while not condition(self.seen):
            assert time.monotonic() < deadline, self.seen
            time.sleep(0.02)
        return self.seen


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    url: str
    settings: Settings

    @property
    def http(self) -> httpx.Client:
        """A plain client."""
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def openai(self, key: str = "none", **options: Any) -> OpenAI:
        """The official client, with nothing but its address changed."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, **options)


class Keeping:
    """A sink that keeps every trace, in ``kept``."""

    def __init__(self) -> None:
        self.kept: list[Trace] = []

    def wants(self, trace: Trace) -> bool:
        """Return True."""
        return True

    async def record(self, trace: Trace) -> None:
        """Keep it."""
        self.kept.append(trace)


class Serve(Protocol):
    """Starts a gateway with these settings changed."""

    def __call__(self, sink: TraceSink | None = None, **changes: Any) -> Gateway:
        """Return it, ready."""


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder with its tokenizer."""
    return save_tokenizer(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def scripted_server(model_folder: Path) -> Iterator[ScriptedVllm]:
    """The scripted server, for the session."""
    with scripted_vllm(free_port(), model_folder) as server:
        yield server


@pytest.fixture
def vllm(scripted_server: ScriptedVllm) -> ScriptedVllm:
    """The scripted server with its default script."""
    scripted_server.script()
    return scripted_server


@contextmanager
def scripted_vllm(port: int, model_folder: Path) -> Iterator[ScriptedVllm]:
    """Run a scripted server inside the block."""
    command = [sys.executable, HOME / "tests" / "scripted_vllm.py", str(port), model_folder]
    process = subprocess.Popen(command)
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        yield ScriptedVllm(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def wait_for(url: str) -> None:
    """Return once something answers there."""
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(url, trust_env=False, timeout=5)
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline, f"nothing answers at {url}"
            time.sleep(0.05)


@pytest.fixture
def gateway_settings(vllm: ScriptedVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with the scripted vLLM, and a Qdrant that does not answer."""
    return _settings(vllm, tmp_path, monkeypatch)


def _settings(vllm: ScriptedVllm, data: Path, patch: pytest.MonkeyPatch) -> Settings:
    for name in [name for name in os.environ if name.startswith("LLMTWIN_")]:
        patch.delenv(name)
    return Settings(
        home=HOME,
        data_dir=data,
        models_dir=HOME / ".local" / "models",
        vllm_url=vllm.url,
        qdrant_url=f"http://127.0.0.1:{free_port()}",
        gateway_rate_limit="",
    )


@pytest.fixture
def serve(gateway_settings: Settings) -> Iterator[Serve]:
    """Start gateways; they end with the test."""
    with ExitStack() as running:

        def start(sink: TraceSink | None = None, **changes: Any) -> Gateway:
            settings = gateway_settings.model_copy(update={"gateway_port": free_port(), **changes})
            return running.enter_context(served(settings, sink))

        yield start


@contextmanager
def served(settings: Settings, sink: TraceSink | None = None) -> Iterator[Gateway]:
    """Run a gateway in a thread inside the block."""
    server = uvicorn.Server(configuration(settings, sink))
    thread = threading.Thread(target=server.run, name=f"gateway-{uuid4().hex[:6]}")
    thread.start()
    try:
        url = f"http://127.0.0.1:{settings.gateway_port}"
        wait_for(f"{url}/health")
        yield Gateway(url, settings)
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def shared_settings(scripted_server: ScriptedVllm, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """What `gateway_settings` are, for the session."""
    with pytest.MonkeyPatch.context() as patch:
        return _settings(scripted_server, tmp_path_factory.mktemp("gateway"), patch)


@pytest.fixture(scope="session")
def shared_gateway(shared_settings: Settings) -> Iterator[Gateway]:
    """A gateway without Qdrant, for the session: to start one takes seconds."""
    with served(shared_settings.model_copy(update={"gateway_port": free_port()})) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def shared_searching(
    shared_settings: Settings, qdrant_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with Qdrant, for the session."""
    changes = {"gateway_port": free_port(), "qdrant_url": qdrant_url, "data_dir": tmp_path_factory.mktemp("searching")}
    with served(shared_settings.model_copy(update=changes)) as gateway:
        yield gateway


@pytest.fixture
def gateway(shared_gateway: Gateway, vllm: ScriptedVllm) -> Gateway:
    """A gateway without Qdrant before a vLLM with its default script; change none of its files."""
    return shared_gateway


@pytest.fixture
def searching(shared_searching: Gateway, vllm: ScriptedVllm) -> Gateway:
    """A gateway with Qdrant, whatever that holds; change none of its files."""
    return shared_searching


@pytest.fixture
def own(serve: Serve) -> Gateway:
    """A gateway of this test's own."""
    return serve()
