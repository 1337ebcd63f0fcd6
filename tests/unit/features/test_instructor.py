"""INSTRUCTOR models: the instruction is read and left out of pooling, whatever runs the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.instructor import DIMENSION, WINDOW, build_instructor

from llmtwin.documents import Kind
from llmtwin.features import Embedder, embedder_for
from llmtwin.features.embedding import open_model
from llmtwin.features.embedding.prompts import document_prompt, query_prompt
from llmtwin.features.embedding.source import weight_files
from llmtwin.settings import Settings

TEXTS = ["def add(a, b): return a + b", "hello world", "a " * 600, "class Graph"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_instructor(tmp_path_factory.mktemp("models") / "instructor-tiny", TEXTS)


@pytest.fixture(scope="module", params=["torch", "openvino"])
def embedder(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"), code_model=str(folder), embedding_backend=request.param
    )
    return embedder_for(Kind.REPOSITORY, settings)


def reference(folder: Path, texts: list[str], prompt: str) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    model.set_pooling_include_prompt(False)
    return np.asarray(model.encode(texts, prompt=prompt))


def test_documents_are_embedded_with_their_instruction(embedder: Embedder, folder: Path) -> None:
    expected = reference(folder, TEXTS, "Represent the code for retrieval: ")
    assert (embedder.embed(TEXTS) * expected).sum(axis=1).min() >= 0.9999
    assert embedder.embed(TEXTS).shape == (4, embedder.dimension) == (4, DIMENSION)


def test_queries_are_embedded_with_theirs(embedder: Embedder, folder: Path) -> None:
    expected = reference(folder, ["add numbers"], "Represent the question for retrieving supporting code: ")[0]
    assert embedder.embed_query("add numbers") @ expected >= 0.9999


def test_the_instruction_is_read_but_not_pooled(embedder: Embedder, folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    pooled = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, prompt="Represent the code for retrieval: ")
    assert (embedder.embed(TEXTS) * pooled).sum(axis=1).min() < 0.999


def test_a_copy_saved_by_todays_sentence_transformers_gives_the_same_vectors(
    embedder: Embedder, folder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    copy = tmp_path / "instructor-copy"
    SentenceTransformer(str(folder), device="cpu").save(str(copy))
    settings = Settings(data_dir=tmp_path, code_model=str(copy), embedding_backend="torch")
    copied = embedder_for(Kind.REPOSITORY, settings)
    assert (copied.max_tokens, copied.dimension) == (WINDOW, DIMENSION)
    assert (copied.embed(TEXTS) * embedder.embed(TEXTS)).sum(axis=1).min() >= 0.9999


def test_prompts_name_the_kind_and_other_models_get_none(folder: Path) -> None:
    instructor, other = open_model(str(folder), folder), open_model(Settings().text_model, folder)
    assert document_prompt(instructor, Kind.POST) == "Represent the post for retrieval: "
    assert "article" in query_prompt(instructor, Kind.ARTICLE)
    assert document_prompt(other, Kind.POST) == query_prompt(other, Kind.POST) == ""


def test_the_weights_of_every_layer_count_whatever_their_format(tmp_path: Path) -> None:
    for name in ("model.safetensors", "pytorch_model.bin", "2_Dense/pytorch_model.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [str(file.relative_to(tmp_path)) for file in weight_files(tmp_path)]
    assert names == ["2_Dense/pytorch_model.bin", "model.safetensors"]
