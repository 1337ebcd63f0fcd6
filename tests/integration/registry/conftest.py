"""The gateway's scripted vLLM."""

from __future__ import annotations

from tests.integration.serving.gateway.conftest import gateway_settings, model_folder, scripted_server, vllm

__all__ = ["gateway_settings", "model_folder", "scripted_server", "vllm"]
