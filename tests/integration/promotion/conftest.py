"""A gateway before a scripted vLLM, with adapters of this test's own in its registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.adapters import BASE_MODEL, save_adapter
from tests.integration.serving.gateway.conftest import (
    Gateway,
    ScriptedVllm,
    gateway_settings,
    model_folder,
    own,
    scripted_server,
    serve,
    vllm,
)

from llmtwin.registry import Registry

__all__ = ["Gateway", "ScriptedVllm", "gateway_settings", "model_folder", "own", "scripted_server", "serve", "vllm"]

Train = Callable[..., str]


@pytest.fixture
def train(own: Gateway, tmp_path: Path) -> Train:
    """Registers one more candidate; returns its version."""
    count = 0

    def register(**adapter: Any) -> str:
        nonlocal count
        count += 1
        folder = save_adapter(tmp_path / f"trained-{count}", **{"seed": count} | adapter)
        return Registry(own.settings.registry).register(folder, BASE_MODEL, 256).version

    return register
