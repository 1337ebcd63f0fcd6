"""The real page in the real Chromium, on the gateway's own fixtures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.documents import article, post, source_file
from tests.integration.retrieval.conftest import index
from tests.integration.serving.gateway.conftest import (
    HOME,
    Gateway,
    ScriptedVllm,
    gateway_settings,
    model_folder,
    scripted_server,
    serve,
    served,
    vllm,
)

from llmtwin import vectors
from llmtwin.local.ports import free_port
from llmtwin.settings import Settings
from llmtwin.sources.browser.executable import NAMES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["gateway_settings", "model_folder", "scripted_server", "serve", "vllm"]

ARTICLE = "A queue keeps the order in which events were written.\n\nThat is why a consumer never has to sort them."
CODE = "def drain(queue):\n    # until it is empty\n    while queue:\n        yield queue.popleft()\n"

_PATIENCE = 30_000  # milliseconds: a gateway's first answer loads models

Open = Callable[..., "Page"]


@pytest.fixture(scope="module")  # not longer: while Playwright's loop runs in this thread, asyncio.run refuses to
def chromium() -> Iterator[Browser]:
    """The system's Chromium."""
    from playwright.sync_api import expect, sync_playwright

    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip("there is no Chromium")
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, chromium_sandbox=False, args=["--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Open a gateway's page in a fresh profile; no script of it may fail, nor anything break the policy."""
    contexts, problems = [], []

    def start(gateway: Gateway, width: int = 1200, height: int = 800, **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_default_timeout(_PATIENCE)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if "Policy" in message.text else None)
        page.goto(gateway.url)
        page.wait_for_selector("#model option", state="attached")
        return page

    yield start
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture(autouse=True)
def _default_script(vllm: ScriptedVllm) -> None:
    """Let no test see another's script."""


@pytest.fixture(scope="module")
def shared_settings(scripted_server: ScriptedVllm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings with the scripted vLLM and no Qdrant: starting a gateway takes seconds, and a page changes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LLMTWIN_")]:
            patch.delenv(name)
        yield Settings(
            home=HOME,
            data_dir=tmp_path_factory.mktemp("chat"),
            models_dir=HOME / ".local" / "models",
            vllm_url=scripted_server.url,
            qdrant_url=f"http://127.0.0.1:{free_port()}",
            gateway_port=free_port(),
            gateway_rate_limit="",
        )


@pytest.fixture(scope="module")
def gateway(shared_settings: Settings) -> Iterator[Gateway]:
    """A gateway with nothing to cite."""
    with served(shared_settings) as running:
        yield running


@pytest.fixture(scope="module")
def filled(shared_settings: Settings, qdrant_url: str) -> Iterator[Gateway]:
    """A gateway with something to cite."""
    settings = shared_settings.model_copy(update={"qdrant_url": qdrant_url, "gateway_port": free_port()})
    with vectors.connect(settings) as client:
        for collection in client.get_collections().collections:
            client.delete_collection(collection.name)
    index(
        settings,
        article(content=ARTICLE, title="Why queues keep order"),
        post(content="Queues: nobody thinks of them until one is full.", title=None),
        source_file(content=CODE),
    )
    with served(settings) as running:
        yield running
