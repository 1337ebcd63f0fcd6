"""What fits a question better is scored higher, by the embedding model's tokens or by a cross-encoder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from llmtwin.errors import EmbeddingError
from llmtwin.features.embedding import open_model
from llmtwin.retrieval.reranking import CrossEncoder, LateInteraction, RerankerThread, load_reranker, word_coverage
from llmtwin.settings import Settings

HOME = Path(__file__).resolve().parents[3]
SETTINGS = Settings(home=HOME, models_dir=HOME / ".local" / "models", embedding_backend="openvino")
TEXTS = [
    "Bread needs flour, water and salt, and a warm place to rise.",
    "Quantization stores the weights of a model in fewer bits, so that it needs less memory.",
    "The weights of a scale are made of brass.",
]


def test_by_default_the_text_that_answers_is_first() -> None:
    reranker = load_reranker(SETTINGS)
    assert isinstance(reranker, LateInteraction)
    scores = reranker.scores("How do fewer bits make a model's memory smaller?", TEXTS)
    assert max(scores) == scores[1]
    assert all(-1 <= score <= 1 for score in scores)


@pytest.mark.parametrize("question", ["", "?", "🙂", "word " * 2_000])
def test_odd_questions_and_texts_are_scored(question: str) -> None:
    scores = load_reranker(SETTINGS).scores(question, ["", "?", "x" * 5_000, *TEXTS])
    assert len(scores) == 6
    assert all(abs(score) <= 1.001 for score in scores)


def test_coverage_is_the_share_of_what_there_could_be() -> None:
    nothing, some, more = word_coverage("brass scale", ["bread", "a scale", "a brass scale " * 3])
    assert 0 == nothing < some < more < 1


def test_a_cross_encoder_is_used_as_it_scores(tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder as Pretrained

    folder = tiny_cross_encoder(tmp_path / "tiny")
    settings = SETTINGS.model_copy(update={"reranker_model": str(folder)})

    async def rerank() -> list[float]:
        async with RerankerThread(settings) as reranker:
            return await reranker.scores("a question", TEXTS)

    expected = Pretrained(str(folder)).predict([("a question", text) for text in TEXTS])
    assert asyncio.run(rerank()) == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_cross_encoder_is_found_under_the_project(tmp_path: Path) -> None:
    tiny_cross_encoder(tmp_path / "models" / "tiny")
    assert len(CrossEncoder("models/tiny", tmp_path).scores("a question", TEXTS)) == 3


def test_a_reranker_that_is_nowhere_is_an_error_that_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmbeddingError, match="LLMTWIN_RERANKER_MODEL"):
        CrossEncoder("empty", tmp_path)


def tiny_cross_encoder(folder: Path) -> Path:
    """Save a cross-encoder with random weights and the tokenizer of the default model."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(open_model(SETTINGS.text_model, HOME).path))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=1,
        initializer_range=1.0,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
