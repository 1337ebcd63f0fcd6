"""Both backends give the same vectors, and the fast one starts without PyTorch."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from llmtwin.documents import Kind
from llmtwin.errors import EmbeddingError
from llmtwin.features import Embedder, embed_query, embedder_for, handler_for
from llmtwin.features.embedding import open_model
from llmtwin.settings import MINILM, Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARTICLES = Path(__file__).resolve().parents[4] / "shared" / "data" / "articles.json"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("data"), embedding_backend="openvino")


@pytest.fixture(scope="module")
def embedder(settings: Settings) -> Embedder:
    return embedder_for(Kind.ARTICLE, settings)


@pytest.fixture(scope="module")
def reference(settings: Settings) -> Embedder:
    return embedder_for(Kind.ARTICLE, settings.model_copy(update={"embedding_backend": "torch"}))


def generated(count: int) -> list[str]:
    draw = random.Random(7)
    words = ["the model", "learns", "a sparse graph", "— während", "日本語", "naïve", "def f(x):", "return x"]
    return [" ".join(draw.choices(words, k=draw.randint(1, 150))) for _ in range(count)]


def least_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float((a * b).sum(axis=1).min())


def test_generated_text_has_the_reference_vectors(embedder: Embedder, reference: Embedder) -> None:
    texts = [*generated(60), "", "x", "word " * 1000]
    assert least_cosine(embedder.embed(texts), reference.embed(texts)) >= 0.9999


def test_tokens_have_the_reference_vectors(embedder: Embedder, reference: Embedder) -> None:
    texts = [*generated(20), "", "x", "word " * 1000]
    for ours, theirs in zip(embedder.embed_tokens(texts), reference.embed_tokens(texts), strict=True):
        assert ours.ids.tolist() == theirs.ids.tolist()
        assert ours.tokens.shape == theirs.tokens.shape == (len(ours.ids), 384)
        assert np.all((ours.tokens * theirs.tokens).sum(axis=1) >= 0.999)
        assert ours.text @ theirs.text >= 0.9999


def test_tokens_leave_out_special_ones_and_are_cut_to_the_window(embedder: Embedder) -> None:
    whole, cut, nothing = embedder.embed_tokens(["a word", "word " * 1000, ""])
    assert whole.ids.tolist() == [1037, 2773]  # [CLS] a word [SEP]
    assert len(cut.ids) == embedder.max_tokens - 2
    assert nothing.tokens.shape == (0, 384)
    assert np.allclose(np.linalg.norm(cut.tokens, axis=1), 1, atol=1e-5)


def test_queries_in_one_call_have_the_vectors_of_single_ones(embedder: Embedder) -> None:
    texts = ["Who?", "What is a sparse graph, and who draws one?"]
    together = embedder.embed_queries(texts)
    assert least_cosine(together, np.stack([embedder.embed_query(text) for text in texts])) >= 0.9999


@pytest.mark.skipif(not ARTICLES.exists(), reason="the real articles are not on this machine")
def test_real_articles_have_the_reference_vectors(embedder: Embedder, reference: Embedder) -> None:
    contents = [text for row in json.loads(ARTICLES.read_text()) for text in (row["content"] or {}).values() if text]
    draw = random.Random(1)
    texts = [text[(start := draw.randrange(len(text))) : start + 900] for text in draw.choices(contents, k=60)]
    assert least_cosine(embedder.embed(texts), reference.embed(texts)) >= 0.9999


def test_vectors_are_unit_float32_in_order(embedder: Embedder) -> None:
    texts = generated(37)
    vectors = embedder.embed(texts)
    assert vectors.shape == (37, embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for index in (0, 17, 36):
        assert least_cosine(embedder.embed([texts[index]]), vectors[[index]]) >= 0.9999


def test_nothing_to_embed(embedder: Embedder, reference: Embedder) -> None:
    assert embedder.embed([]).shape == reference.embed([]).shape == (0, 384)


def test_a_query_finds_its_text(embedder: Embedder, settings: Settings) -> None:
    texts = ["A recipe for bread with rye flour", "How graph neural networks pass messages", "Tax law of 1990"]
    scores = embedder.embed(texts) @ embed_query("message passing in GNNs", Kind.ARTICLE, settings)
    assert scores.argmax() == 1


def test_threads_share_one_model(embedder: Embedder, settings: Settings) -> None:
    texts = generated(20)
    expected = embedder.embed(texts)
    results: list[NDArray[np.float32]] = []
    threads = [
        threading.Thread(target=lambda: results.append(embedder_for(Kind.ARTICLE, settings).embed(texts)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(least_cosine(result, expected) > 0.99999 for result in results)
    assert embedder_for(Kind.ARTICLE, settings) is embedder


def test_chunks_are_stamped_with_the_embedders_model(embedder: Embedder, settings: Settings) -> None:
    assert handler_for(Kind.ARTICLE, settings).model_id == embedder.model_id
    assert embedder.model_id.startswith(f"{MINILM}@")
    assert embedder.max_tokens == 256


def test_processes_that_find_the_converted_model_import_no_torch_and_end_in_order(
    embedder: Embedder, settings: Settings
) -> None:
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from llmtwin.documents import Kind\nfrom llmtwin.features import embedder_for\n"
        "from llmtwin.settings import Settings\n"
        "settings = Settings(data_dir=Path(sys.argv[1]), embedding_backend='openvino')\n"
        "vector = embedder_for(Kind.ARTICLE, settings).embed(['hello world'])[0]\n"
        "assert not {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)\n"
        "print(*vector)"
    )
    # Several, and at once: whether threads outlive the interpreter is a matter of moments.
    command = [sys.executable, "-c", script, str(settings.data)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    for process in processes:
        answer, _ = process.communicate()
        assert process.returncode == 0
        assert least_cosine(np.array([answer.split()], np.float32), embedder.embed(["hello world"])) > 0.99999


def test_two_processes_may_convert_at_once(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from llmtwin.documents import Kind\nfrom llmtwin.features import embedder_for\n"
        "from llmtwin.settings import Settings\n"
        "settings = Settings(data_dir=Path(sys.argv[1]), embedding_backend='openvino')\n"
        "assert embedder_for(Kind.POST, settings).embed(['hello']).shape == (1, 384)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    (folder,) = (tmp_path / "models").iterdir()
    assert {file.name for file in folder.iterdir()} == {"model.xml", "model.bin"}


def test_a_conversion_leaves_one_folder(embedder: Embedder, settings: Settings) -> None:
    (folder,) = settings.models.iterdir()
    assert {file.name for file in folder.iterdir()} == {"model.xml", "model.bin"}


def test_an_unknown_model_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EmbeddingError, match=r"'nobody/no-such-model'.*LLMTWIN_TEXT_MODEL"):
        open_model("nobody/no-such-model", tmp_path)


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match=r"modules\.json"):
        open_model(str(tmp_path), tmp_path)


def test_the_hub_cache_is_found_before_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packaged = open_model(MINILM, Path("/")).path
    repository = tmp_path / f"models--{MINILM.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / "abc").symlink_to(packaged)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert open_model(MINILM, tmp_path).path == repository / "snapshots" / "abc"
