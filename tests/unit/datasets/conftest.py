"""A tokenizer with a real vocabulary, which the text model's package brings along."""

from __future__ import annotations

import pytest
from tests.authors import tokenizer_folder

from llmtwin.datasets.options import Options
from llmtwin.datasets.tokens import Tokenizer, open_tokenizer
from llmtwin.settings import Settings


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tokenizer_folder(tmp_path_factory.mktemp("model"))
    return open_tokenizer(Settings(base_model=str(folder)))


@pytest.fixture
def options() -> Options:
    return Options(extract_tokens=96, min_tokens=8, min_words=5)
