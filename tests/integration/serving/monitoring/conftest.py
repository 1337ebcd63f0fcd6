"""The gateway's own fixtures, and a gateway whose store is empty."""

from __future__ import annotations

import pytest
from tests.integration.serving.chat.conftest import gateway as any_gateway
from tests.integration.serving.chat.conftest import shared_settings
from tests.integration.serving.gateway.conftest import (
    Gateway,
    Serve,
    gateway_settings,
    model_folder,
    scripted_server,
    serve,
    vllm,
)

__all__ = [
    "any_gateway", "gateway_settings", "model_folder", "scripted_server", "serve", "shared_settings", "vllm",
]  # fmt: skip


@pytest.fixture
def gateway(serve: Serve) -> Gateway:
    """A gateway that has kept nothing yet."""
    return serve()
