"""Which model a request means: ``base``, ``twin``, ``twin@<version>``.

``twin`` is the version in production; while there is none, the base model. vLLM serves each under the same name, so an
answer says which version wrote it without a byte being changed on the way.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Any

import orjson
import structlog

from llmtwin.registry import Registry, Version
from llmtwin.settings import Settings
from serving.gateway.errors import ApiError
from serving.gateway.tokenizer import ChatTokenizer
from serving.gateway.upstream import Upstream

log = structlog.get_logger(__name__)

BASE = "base"
TWIN = "twin"
# How old vLLM's own list may be before it is read again, beside the request that finds it so: on a busy machine that
# takes as long as a token. It changes when vLLM restarts, and lost adapters a 404 tells at once.
_FRESH_SECONDS = 10.0
# Beyond this it is not believed any more, and a request waits for a new one.
_BELIEVED_SECONDS = 60.0
_READ_SECONDS = 10.0


@dataclass(frozen=True)
class Served:
    """A model that vLLM has loaded.

    Attributes:
        name: Its name in requests to vLLM.
        is_twin: Whether retrieval is on unless a request says otherwise.
    """

    name: str
    is_twin: bool


class Models:
    """The models of the registry and of vLLM.

    Args:
        settings: Where the registry is, and the tokenizer if it is not what vLLM names.
        upstream: The vLLM.
    """

    def __init__(self, settings: Settings, upstream: Upstream) -> None:
        self._settings = settings
        self._upstream = upstream
        self._registry = Registry(settings.registry)
        self._cards: list[dict[str, Any]] = []
        self._asked_at = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._loading = asyncio.Lock()
        self._tokenizers: dict[str, ChatTokenizer] = {}

    async def resolve(self, asked: str) -> Served:
        """Return the model of this name, loading its adapter into vLLM where that is missing.

        Raises:
            ApiError: There is no such model (404), or vLLM is down (503) or refuses the adapter (502).
            RegistryError: The index or the adapter's files are damaged.
        """
        if asked == BASE:
            return Served((await self.base())["id"], is_twin=False)
        version = self._version(asked)
        if version is None:
            return Served((await self.base())["id"], is_twin=True)
        await self._load(version)
        return Served(version.served_name, is_twin=True)

    async def base(self) -> dict[str, Any]:
        """Return vLLM's card of the base model: ``id``, ``root`` (folder or hub id), ``max_model_len`` (tokens).

        Raises:
            ApiError: vLLM is down (503), or has loaded nothing (503).
        """
        for card in await self._list():
            if not card.get("parent"):
                return card
        raise ApiError(503, "vLLM has loaded no model", code="model_unavailable")

    async def tokenizer(self) -> ChatTokenizer:
        """Return the tokenizer of the base model, which its adapters share; loaded once.

        Raises:
            ApiError: It cannot be loaded (503).
        """
        source = self._settings.gateway_tokenizer or (await self.base())["root"]
        async with self._loading:
            if source not in self._tokenizers:
                self._tokenizers[source] = await asyncio.to_thread(ChatTokenizer, source)
        return self._tokenizers[source]

    def listing(self) -> list[dict[str, Any]]:
        """Return the models as OpenAI lists them, with what a twin consists of."""
        production = self._registry.production()
        root = production.served_name if production else BASE
        versions = [
            _card(version.served_name, version, status=str(version.status), parent=BASE)
            for version in self._registry.versions()
        ]
        return [_card(TWIN, production, root=root), _card(BASE, None), *versions]

    def forget(self) -> None:
        """Have vLLM asked again for what it has loaded, by the next request: it was restarted."""
        self._cards, self._asked_at = [], monotonic()

    async def refresh(self) -> list[dict[str, Any]]:
        """Ask vLLM for what it has loaded; return its cards.

        Raises:
            ApiError: vLLM is down (503) or failed (502), or it is something else that answers (502).
        """
        asked_at = monotonic()
        cards = (await self._upstream.get("/v1/models")).get("data")
        if not isinstance(cards, list) or not all(map(_is_card, cards)):
            raise self._upstream.foreign()
        if asked_at >= self._asked_at:  # else somebody asked, or forgot, after us: what they know is newer
            self._cards, self._asked_at = cards, asked_at
        return cards

    def _version(self, asked: str) -> Version | None:
        if asked == TWIN:
            return self._registry.production()
        for version in self._registry.versions():
            if version.served_name == asked:
                return version
        raise ApiError(
            404,
            f"there is no model {asked!r}: GET /v1/models lists them",
            code="model_not_found",
            param="model",
        )

    async def _load(self, version: Version) -> None:
        async with self._loading:
            if any(card["id"] == version.served_name for card in await self._list()):
                return
            await asyncio.to_thread(self._registry.verify, version.version)
            folder = self._registry.folder_of(version.version)
            body = orjson.dumps({"lora_name": version.served_name, "lora_path": str(folder)})
            try:
                async with self._upstream.post("/v1/load_lora_adapter", body, "") as response:
                    await self._upstream.read(response)
            except ApiError as error:
                # It has been loaded by somebody else since we asked: vLLM says so with a 400.
                self.forget()
                if any(card["id"] == version.served_name for card in await self._list()):
                    return
                log.error("vLLM refuses an adapter", model=version.served_name, reason=error.message)
                if error.status >= 500:
                    raise
                raise ApiError(
                    502, f"vLLM cannot load {version.served_name}: {error.message}", code="model_failed"
                ) from error
            self.forget()

    async def _list(self) -> list[dict[str, Any]]:
        age = monotonic() - self._asked_at
        if not self._cards or age >= _BELIEVED_SECONDS:
            return await self.refresh()
        if age >= _FRESH_SECONDS and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._refresh_aside())
        return self._cards

    async def _refresh_aside(self) -> None:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                await self.refresh()
        except (ApiError, TimeoutError):
            self.forget()  # who asks next is told why


def _is_card(found: Any) -> bool:
    if not isinstance(found, dict) or "id" not in found:
        return False
    return bool(found.get("parent")) or {"root", "max_model_len"} <= found.keys()


def _card(name: str, version: Version | None, **more: str) -> dict[str, Any]:
    created = int(version.created_at.timestamp()) if version else 0
    return {"id": name, "object": "model", "created": created, "owned_by": "llmtwin"} | more
