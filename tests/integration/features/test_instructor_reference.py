"""INSTRUCTOR models give the vectors that InstructorEmbedding, the package of the models' authors, gives.

It runs only beside versions that are years older than ours, hence in an environment of its own: `make reference`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.instructor import WINDOW, build_instructor

from llmtwin.documents import Kind
from llmtwin.features import Embedder, embedder_for
from llmtwin.features.embedding import open_model
from llmtwin.features.embedding.prompts import document_prompt, query_prompt
from llmtwin.settings import Settings

pytestmark = pytest.mark.reference

ENVIRONMENT = Path(__file__).resolve().parents[3] / ".local" / "instructor"
SCRIPT = Path(__file__).with_name("instructor_vectors.py")

TEXTS = [
    "The twin answers in her own voice.",
    "Crème brûlée à la façon d’Ana Núñez, naïve et ﬁne",
    "東京の天気は今日も良い。日本語の文章です。",
    "def add(a, b):\n    return a + b\n",
    "  \tindented = True\n\n",
    "x",
    " ".join(f"chapter {number} of a long book" for number in range(WINDOW)),
]
QUERY = "Who wrote the long book?"
UNKNOWN = "☃ ünknown 中文 Ωmega"  # letters that the tokenizer has never seen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (ENVIRONMENT / "complete").is_file():
        pytest.skip("InstructorEmbedding has no environment: `make reference` makes one")
    return build_instructor(tmp_path_factory.mktemp("models") / "instructor-tiny", [*TEXTS, QUERY])


@pytest.fixture(scope="module", params=[Kind.ARTICLE, Kind.REPOSITORY])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(scope="module")
def reference(folder: Path, kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What InstructorEmbedding makes of `TEXTS`, `UNKNOWN` and, last, `QUERY`."""
    model = open_model(str(folder), folder)
    pairs = [(document_prompt(model, kind), text) for text in [*TEXTS, UNKNOWN]] + [(query_prompt(model, kind), QUERY)]
    target = tmp_path_factory.mktemp("reference") / "vectors.npy"
    done = subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-I", SCRIPT, folder, target],
        input=json.dumps(pairs),
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.load(target)


def embedder(backend: str, folder: Path, kind: Kind, data: Path) -> Embedder:
    return embedder_for(
        kind, Settings(data_dir=data, text_model=str(folder), code_model=str(folder), embedding_backend=backend)
    )


def vectors(embedder: Embedder) -> np.ndarray:
    return np.vstack([embedder.embed([*TEXTS, UNKNOWN]), embedder.embed_query(QUERY)])


def test_the_texts_reach_beyond_the_window(folder: Path) -> None:
    lengths = [len(encoding.ids) for encoding in open_model(str(folder), folder).encode(TEXTS)]
    assert min(lengths) < 5
    assert max(lengths) > WINDOW


def test_pytorch_gives_the_same_vectors(reference: np.ndarray, folder: Path, kind: Kind, tmp_path: Path) -> None:
    ours = vectors(embedder("torch", folder, kind, tmp_path))
    assert np.abs(ours - reference).max() <= 1e-5
    assert (ours * reference).sum(axis=1).min() >= 0.9999


def test_openvino_gives_the_same_directions(reference: np.ndarray, folder: Path, kind: Kind, tmp_path: Path) -> None:
    ours = vectors(embedder("openvino", folder, kind, tmp_path))
    assert (ours * reference).sum(axis=1).min() >= 0.9999
