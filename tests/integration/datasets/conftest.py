"""A Qdrant of these tests' own content; of the other servers there is none: only the feature store is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.authors import tokenizer_folder
from tests.conftest import HOME

from llmtwin import vectors
from llmtwin.settings import Settings


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that passes for a base model's as long as only its tokenizer is asked for."""
    return tokenizer_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture
def store(qdrant_url: str, base_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of an empty Qdrant, without a teacher; datasets go to ``tmp_path``."""
    for name in [name for name in os.environ if name.startswith("LLMTWIN_")]:
        monkeypatch.delenv(name)
    settings = Settings(
        home=HOME,
        data_dir=tmp_path,
        models_dir=HOME / ".local" / "models",
        qdrant_url=qdrant_url,
        mongodb_url="mongodb://127.0.0.1:1",
        rabbitmq_url="amqp://127.0.0.1:1",
        base_model=str(base_model),
        dataset_extract_tokens=96,
    )
    with vectors.connect(settings) as client:
        for name in vectors.collection_names(client):
            client.delete_collection(name)
    return settings
