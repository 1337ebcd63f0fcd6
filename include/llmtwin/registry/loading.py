"""Bring a version of the registry into the running vLLM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from llmtwin.errors import VllmError
from llmtwin.registry.registry import Registry
from llmtwin.settings import Settings, redacted

if TYPE_CHECKING:
    import httpx

_TIMEOUT_SECONDS = 60.0


def load(version: str, settings: Settings) -> str:
    """Load a version's adapter; loading it again does no harm. Return the name under which requests ask for it.

    Never in place: of an adapter that was loaded so, vLLM reads the files again with every step of every answer
    (``WorkerLoRAManager.add_adapter``). A version never changes, so what is loaded already is what is wanted.

    Raises:
        RegistryError: The registry has no such version, or its files are not what was registered.
        VllmError: vLLM does not answer, or refuses the adapter; carries its reason.
    """
    import httpx

    registry = Registry(settings.registry)
    found = registry.verify(version)
    folder = registry.folder_of(version)
    wanted = {"lora_name": found.served_name, "lora_path": str(folder)}
    try:
        with httpx.Client(base_url=settings.vllm, timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            if _is_loaded(client, found.served_name, folder):
                return found.served_name
            answer = client.post("/v1/load_lora_adapter", json=wanted)
            # Somebody else may have loaded it since we looked.
            if answer.is_error and not _is_loaded(client, found.served_name, folder):
                reason = f"vLLM refuses version {version} (HTTP {answer.status_code}): {reason_of(answer)}"
                raise VllmError(reason, answered=True)
    except httpx.TransportError as error:
        raise VllmError(
            f"vLLM does not answer at {redacted(settings.vllm)} ({error!r}): run `llmtwin up --with-llm`"
        ) from error
    return found.served_name


@contextmanager
def understood(url: str) -> Iterator[None]:
    """Tell what is no answer of vLLM's by its form: it comes from something else at this address.

    Raises:
        VllmError: An answer that is read inside the block is of another form.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        where = redacted(url)
        raise VllmError(f"what answers at {where} is no vLLM ({error!r}): correct LLMTWIN_VLLM_URL") from error


def _is_loaded(client: httpx.Client, name: str, folder: Path) -> bool:
    """Tell whether vLLM has this adapter.

    Raises:
        VllmError: It has one of this name from another folder, cannot tell, or is no vLLM.
    """
    answer = client.get("/v1/models")
    if answer.is_error:
        raise VllmError(f"vLLM cannot list its models (HTTP {answer.status_code}): {reason_of(answer)}", answered=True)
    with understood(str(client.base_url).rstrip("/")):
        loaded = {str(card["id"]): card for card in answer.json()["data"]}
        root = str(loaded[name]["root"]) if name in loaded else None
    if root is not None and Path(root).resolve() != folder.resolve():
        raise VllmError(f"vLLM has loaded {name} from {root}, not {folder}: restart it", answered=True)
    return root is not None


def reason_of(answer: httpx.Response) -> str:
    """Return why a server that speaks OpenAI's API, vLLM or the gateway, refused."""
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
