"""The gateway's own fixtures."""

from tests.integration.serving.chat.conftest import gateway as any_gateway
from tests.integration.serving.chat.conftest import shared_settings
from tests.integration.serving.gateway.conftest import (
    gateway,
    gateway_settings,
    model_folder,
    scripted_server,
    serve,
    vllm,
)

__all__ = [
    "any_gateway",
    "gateway",
    "gateway_settings",
    "model_folder",
    "scripted_server",
    "serve",
    "shared_settings",
    "vllm",
]
