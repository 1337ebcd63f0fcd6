"""INSTRUCTOR models: a T5 encoder, pooling without the instruction, a dense layer. A tiny one with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llmtwin.documents import Kind
from llmtwin.features import Embedder, embedder_for
from llmtwin.features.embedding import open_model
from llmtwin.features.embedding.prompts import document_prompt, query_prompt
from llmtwin.settings import Settings

TEXTS = ["def add(a, b): return a + b", "hello world", "a " * 300, "class Graph"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as hkunlp/instructor-* is."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    torch.manual_seed(0)
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(
        [*TEXTS, "Represent the code article question for retrieval supporting:"] * 20, trainer
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    base = tmp_path_factory.mktemp("t5")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    ).save_pretrained(base)
    config = T5Config(
        vocab_size=tokenizer.get_vocab_size(), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, pad_token_id=0
    )
    T5EncoderModel(config).eval().save_pretrained(base)
    transformer = Transformer(str(base), max_seq_length=64)
    head = [Pooling(32), Dense(32, 24, bias=False, activation_function=torch.nn.Identity()), Normalize()]
    path = tmp_path_factory.mktemp("models") / "instructor-tiny"
    SentenceTransformer(modules=[transformer, *head]).save(str(path))
    return path


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
    assert embedder.embed(TEXTS).shape == (4, embedder.dimension) == (4, 24)


def test_queries_are_embedded_with_theirs(embedder: Embedder, folder: Path) -> None:
    expected = reference(folder, ["add numbers"], "Represent the question for retrieving supporting code: ")[0]
    assert embedder.embed_query("add numbers") @ expected >= 0.9999


def test_the_instruction_is_read_but_not_pooled(embedder: Embedder, folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    pooled = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, prompt="Represent the code for retrieval: ")
    assert (embedder.embed(TEXTS) * pooled).sum(axis=1).min() < 0.999


def test_prompts_name_the_kind_and_other_models_get_none(folder: Path) -> None:
    instructor, other = open_model(str(folder), folder), open_model(Settings().text_model, folder)
    assert document_prompt(instructor, Kind.POST) == "Represent the post for retrieval: "
    assert "article" in query_prompt(instructor, Kind.ARTICLE)
    assert document_prompt(other, Kind.POST) == query_prompt(other, Kind.POST) == ""
