"""Bring a version of the registry into the running vLLM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmtwin.errors import VllmError
from llmtwin.registry.registry import Registry
from llmtwin.settings import Settings, redacted

if TYPE_CHECKING:
    import httpx

_TIMEOUT_SECONDS = 60.0


def load(version: str, settings: Settings) -> str:
    """Load a version's adapter; loading it again does no harm. Return the name under which requests ask for it.

    Raises:
        RegistryError: The registry has no such version, or its files are not what was registered.
        VllmError: vLLM does not answer, or refuses the adapter; carries its reason.
    """
    import httpx

    registry = Registry(settings.registry)
    found = registry.verify(version)
    wanted = {"lora_name": found.served_name, "lora_path": str(registry.folder_of(version)), "load_inplace": True}
    try:
        with httpx.Client(base_url=settings.vllm, timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            answer = client.post("/v1/load_lora_adapter", json=wanted)
    except httpx.TransportError as error:
        raise VllmError(
            f"vLLM does not answer at {redacted(settings.vllm)} ({error!r}): run `llmtwin up --with-llm`"
        ) from error
    if answer.is_error:
        reason = f"vLLM refuses version {version} (HTTP {answer.status_code}): {_reason(answer)}"
        raise VllmError(reason, answered=True)
    return found.served_name


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
