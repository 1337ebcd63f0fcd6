"""A registry with twins of two authors, their datasets, and a scripted vLLM that says what a test wants."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.adapters import BASE_MODEL, save_adapter
from tests.conftest import HOME
from tests.integration.serving.gateway.conftest import ScriptedVllm, model_folder, scripted_server, vllm
from tests.styles import ANA, BEN, NOBODY, save_dataset, write_as

from llmtwin.datasets import Dataset
from llmtwin.evaluation import Evaluation, Options, evaluate
from llmtwin.local.ports import free_port
from llmtwin.registry import Lineage, Registry
from llmtwin.settings import Settings

__all__ = ["Lab", "ScriptedVllm", "lab", "model_folder", "scripted_server", "vllm"]

OPTIONS = Options(texts=8, answers=6, grounded_answers=3, judged=3)
# What each model says, and the logarithm of each token's probability in the author's text.
TEXTS = {"base": write_as(NOBODY, 150, 1), "twin@1": write_as(ANA, 150, 991), "twin@2": write_as(BEN, 150, 992)}
LOGPROBS = {"base": -2.0, "twin@1": -1.0, "twin@2": -1.5}


@dataclass(frozen=True)
class Lab:
    """All that an evaluation needs."""

    settings: Settings
    vllm: ScriptedVllm

    @property
    def registry(self) -> Registry:
        """The twins."""
        return Registry(self.settings.registry)

    def register(self, author: str | None, dataset: str | None, **adapter: Any) -> str:
        """Register a twin; return its version."""
        count = len(self.registry.versions())
        folder = save_adapter(self.settings.data / f"trained-{count}", **{"seed": count} | adapter)
        base = adapter.get("base_model_name_or_path", BASE_MODEL)
        lineage = Lineage(author=author, dataset=dataset) if author or dataset else None
        return self.registry.register(folder, base, 256, lineage=lineage).version

    def dataset_of(self, version: str) -> str:
        """Return the reference of the dataset that a twin was trained on."""
        lineage = self.registry.get(version).lineage
        assert lineage is not None
        assert lineage.dataset is not None
        return lineage.dataset

    def serve(self, dataset: Dataset) -> str:
        """Register a twin of a dataset's author that answers as twin 1 does, and put it into production."""
        version = self.register(dataset.author, dataset.reference)
        self.registry.accept(version)
        self.registry.promote(version)
        self.script(
            texts=TEXTS | {f"twin@{version}": TEXTS["twin@1"]},
            logprobs=LOGPROBS | {f"twin@{version}": LOGPROBS["twin@1"]},
        )
        return version

    def script(self, **rules: Any) -> None:
        """Let vLLM start over with these rules besides."""
        self.vllm.script(**{"texts": TEXTS, "logprobs": LOGPROBS} | rules)

    def evaluate(self, version: str = "1", **arguments: Any) -> Evaluation:
        """Evaluate a version, little of it."""
        return evaluate(self.settings, version, **{"options": OPTIONS} | arguments)

    def asked(self, path: str = "") -> list[dict[str, Any]]:
        """Return the requests for answers that vLLM has seen, all or those at a path."""
        return [entry for entry in self.vllm.seen if entry["path"].endswith(path or "completions")]


@pytest.fixture
def lab(vllm: ScriptedVllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Twin 1 of Ana, the candidate, and twin 2 of Ben."""
    for name in [name for name in os.environ if name.startswith("LLMTWIN_")]:
        monkeypatch.delenv(name)
    settings = Settings(
        home=HOME,
        data_dir=tmp_path,
        models_dir=HOME / ".local" / "models",
        vllm_url=vllm.url,
        qdrant_url=f"http://127.0.0.1:{free_port()}",
        retrieval_timeout_seconds=1.0,
    )
    made = Lab(settings, vllm)
    for author in (ANA, BEN):
        made.register(author, save_dataset(settings, author).reference)
    made.script()
    return made
