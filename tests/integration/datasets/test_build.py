"""Datasets built from a real Qdrant: what they hold, that nothing leaks, and that they are the same each time."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.articles import MAXIME, PAUL, fill, needs_articles, real_articles
from tests.authors import ANA, BEN, text, written
from tests.documents import post
from tests.integration.datasets import builder
from tests.teacher import MODEL, ScriptedTeacher, settings_of

from llmtwin import vectors
from llmtwin.datasets import Dataset, Options, authors, build, datasets, open_dataset, personal, record, summary
from llmtwin.datasets.leakage import LONGEST_RUN, Unseen
from llmtwin.datasets.rows import texts_of
from llmtwin.datasets.tokens import open_tokenizer
from llmtwin.settings import Settings, settings_environment
from llmtwin.tracking import read_experiment
from llmtwin.vectors.collections import scroll

pytestmark = pytest.mark.stack


def contents(settings: Settings) -> dict[str, str]:
    """The cleaned texts in Qdrant by document id."""
    found: dict[str, str] = {}
    with vectors.connect(settings) as client:
        for alias in vectors.aliases(client):
            if alias.startswith("cleaned_"):
                found |= {id_: payload["content"] for id_, payload in scroll(client, alias, ["content"])}
    return found


def bytes_of(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def leaks(dataset: Dataset, settings: Settings) -> list[dict[str, Any]]:
    """Rows of train and validation that share a run of 50 tokens with a document they must not know."""
    stored, tokenizer = contents(settings), open_tokenizer(settings)
    found = []
    for split, hidden in (("train", ("validation", "test")), ("validation", ("test",))):
        ids = [one["id"] for other in hidden for one in dataset.manifest["documents"][other]]
        unseen = Unseen([stored[id_] for id_ in ids], tokenizer)
        found += [row for row in dataset.rows(split) if unseen.longest_run(texts_of(row)) >= LONGEST_RUN]
    return found


def in_another_process(settings: Settings, *arguments: str, seed: str = "1") -> subprocess.CompletedProcess[str]:
    environment = os.environ | settings_environment(settings) | {"PYTHONHASHSEED": seed}
    command = [sys.executable, str(builder.__file__), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_dataset_holds_the_authors_own_words_by_document_and_time(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)] + [written(number, BEN) for number in range(20, 23)])
    dataset = build(store, "ana  NÚÑEZ")
    stored = contents(store)
    assert (dataset.author, dataset.name) == (ANA.full_name, "ana-nunez")
    for split in ("train", "validation", "test"):
        rows = dataset.rows(split)
        documents = {one["id"]: one for one in dataset.manifest["documents"][split]}
        assert {row["document_id"] for row in rows} == documents.keys()
        assert {row["type"] for row in rows} <= {"instruction", "rag"}
        for row in rows:
            system, user = row["prompt"]
            [answer] = row["completion"]
            assert (system["role"], user["role"], answer["role"]) == ("system", "user", "assistant")
            assert system["content"].startswith("You are Ana Núñez.")
            said = answer["content"] if row["type"] == "instruction" else answer["content"].rpartition(".")[0]
            assert said in stored[row["document_id"]]
            assert row["published_at"].isoformat() == documents[row["document_id"]]["published_at"]
            assert (row["author"], row["teacher"], row["kind"]) == (ANA.full_name, None, "article")
    days = {
        split: [one["published_at"] for one in dataset.manifest["documents"][split]]
        for split in ("train", "validation", "test")
    }
    assert max(days["train"]) < min(days["validation"]) <= max(days["validation"]) < min(days["test"])
    assert {len(days["train"]), len(days["validation"]), len(days["test"])} == {8, 2}
    assert leaks(dataset, store) == []


def test_everybody_in_one_dataset(store: Settings) -> None:
    fill(store, [written(number, ANA if number % 2 else BEN) for number in range(12)])
    dataset = build(store, None)
    assert dataset.name == "everybody"
    assert dataset.author is None
    rows = dataset.rows("train")
    assert {row["author"] for row in rows} == {ANA.full_name, BEN.full_name}
    assert all(row["author"] in row["prompt"][0]["content"] for row in rows)
    assert build(store, "everybody").reference == dataset.reference
    assert set(authors(store).values()) == {ANA.full_name, BEN.full_name}


def test_the_snapshot_is_paged_to_its_end(store: Settings) -> None:
    documents = [post(number, f"{text(number, 1)}") for number in range(1_250)]
    fill(store, documents)
    dataset = build(store, "Ana Núñez", Options.of(store, {"rag_share": 0.0}))
    listed = [one["id"] for split in dataset.manifest["documents"].values() for one in split]
    assert len(set(listed)) == len(listed) == 1_250


def test_the_same_inputs_and_seed_give_the_same_bytes_in_two_processes(store: Settings, tmp_path: Path) -> None:
    fill(store, [written(number) for number in range(12)])
    folders = []
    with ScriptedTeacher() as teacher:
        for number in ("1", "2"):
            here = settings_of(store, teacher, datasets_dir=tmp_path / number)
            done = in_another_process(here, "Ana Núñez", seed=number)
            assert done.returncode == 0, done.stderr
            folders.append(open_dataset(here, done.stdout.split()[-1]).folder)
        seeded = build(settings_of(store, teacher), "Ana Núñez", Options.of(store, {"seed": 7}))
    first, second = map(bytes_of, folders)
    assert first == second
    assert "preferences/train.parquet" in first
    assert seeded.version != folders[0].name


def test_a_version_is_read_only_and_building_it_again_changes_nothing(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)])
    dataset = build(store, "Ana Núñez")
    before = bytes_of(dataset.folder)
    assert not any(path.stat().st_mode & stat.S_IWUSR for path in dataset.folder.rglob("*") if path.is_file())
    assert build(store, "Ana Núñez").reference == dataset.reference
    assert bytes_of(dataset.folder) == before
    fill(store, [written(99)], version=2)
    newer = build(store, "Ana Núñez")
    assert newer.version != dataset.version
    assert [one.version for one in datasets(store)] == [dataset.version, newer.version]
    assert open_dataset(store, "ana-nunez").version == newer.version
    build(store, "Ana Núñez", Options.of(store, {"seed": 0}))
    assert open_dataset(store, f"ana-nunez@{dataset.version}").rows("test") == dataset.rows("test")


def test_the_card_makes_hugging_face_load_it(store: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, [written(number) for number in range(12)])
    with ScriptedTeacher() as teacher:
        dataset = build(settings_of(store, teacher), "Ana Núñez")
    code = (
        "import sys, datasets; loaded = datasets.load_dataset(sys.argv[1], sys.argv[2]);"
        "print({split: rows.num_rows for split, rows in loaded.items()}, loaded['train'][0]['prompt'][0]['role'])"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    for config, splits in (("sft", ("train", "validation", "test")), ("preferences", ("train", "validation"))):
        command = [sys.executable, "-c", code, str(dataset.folder), config]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        sizes = {split: len(dataset.rows(split, config)) for split in splits}
        assert done.stdout.split("\n")[0] == f"{sizes} system"


def test_a_teacher_writes_instructions_answers_and_imitations(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)])
    with ScriptedTeacher() as teacher:
        dataset = build(settings_of(store, teacher), "Ana Núñez")
        asked = len(teacher.requests)
    rows = dataset.rows("train")
    types = Counter(row["type"] for row in rows)
    assert types.keys() == {"instruction", "rag", "question"}
    assert {row["teacher"] for row in rows} == {MODEL}
    train = {one["id"] for one in dataset.manifest["documents"]["train"]}
    assert {row["document_id"] for row in rows} == train
    questions = [row for row in rows if row["type"] == "question"]
    assert all("<passages-" in row["prompt"][1]["content"] for row in questions)
    assert all("[1]" in row["completion"][0]["content"] for row in questions)
    assert {row["type"] for row in dataset.rows("test")} <= {"instruction", "rag"}
    stored = contents(store)
    for row in dataset.rows("train", "preferences"):
        assert row["chosen"][0]["content"] in stored[row["document_id"]]
        assert row["rejected"][0]["content"] not in stored[row["document_id"]]
    figures = dataset.manifest["teacher"]
    assert (figures["model"], figures["requests"]) == (MODEL, asked)
    assert figures["cost"] == pytest.approx(
        (figures["prompt_tokens"] * 2 + figures["completion_tokens"] * 8) / 1e6, abs=1e-6
    )
    assert summary(dataset)["teacher_cost"] == figures["cost"] > 0
    assert leaks(dataset, store) == []


def test_letters_of_a_series_that_begin_alike_cost_rows_and_not_the_build(store: Settings) -> None:
    title = "The long and winding weekly letter on herons, rivers, lanterns and the engines beside them"
    opening = (
        "Good morning to all of you who have been reading this letter since its first days, and a very warm welcome to "
        "everybody who has come to it in the course of the last week, wherever in the world you may happen to be"
    )
    tokenizer = open_tokenizer(store)
    assert tokenizer.count(opening) < LONGEST_RUN <= tokenizer.count(f"{title} {opening}")
    letters = [
        written(number, content=f"# {title}\n\n{opening}. {text(number, 1)}\n\n{text(number)}", title=title)
        for number in range(20)
    ]
    fill(store, letters)
    dataset = build(store, ANA.full_name)
    dropped = dataset.manifest["removed"]["rows"]["repeats what must stay unseen"]
    assert 0 < dropped < len(letters) * 2
    assert leaks(dataset, store) == []


@pytest.mark.parametrize("taught", [False, True])
def test_titles_and_headings_pass_the_filters_too(taught: bool, store: Settings) -> None:
    documents = [written(number, title=f"Essay {number} on [SEP] and [CLS]") for number in range(12)]
    documents += [
        written(20, title="Write to ana@example.org"),
        written(21, content=f"{text(21, 2)}\n\n## Call +34 612 345 678\n\n{text(22, 2)}"),
        written(22, content=text(23).replace("## On", "## On [MASK]")),
    ]
    fill(store, documents)
    with ScriptedTeacher() as teacher:
        dataset = build(settings_of(store, teacher) if taught else store, ANA.full_name)
        sent = str(teacher.requests)
    rows = [row for split in ("train", "validation", "test") for row in dataset.rows(split)]
    rows += dataset.rows("train", "preferences") if taught else []
    tokenizer = open_tokenizer(store)
    seen = "\n".join(map(texts_of, rows))
    assert not tokenizer.has_special(seen)
    assert "Essay 3 on [ SEP] and [ CLS]" in seen
    assert personal.found_in(seen) == personal.found_in(sent) == set()
    dropped = dataset.manifest["removed"]["extracts"]["personal data or secrets"]
    assert dropped > 2
    kept = build(store, ANA.full_name, Options.of(store, {"pii": "keep", "teacher": False}))
    assert "personal data or secrets" not in kept.manifest["removed"]["extracts"]


@pytest.mark.parametrize("address", ["[SEP]", "ana@example.org"])
def test_what_the_teacher_says_passes_the_filters_too(address: str, store: Settings) -> None:
    fill(store, [written(number) for number in range(12)])
    with ScriptedTeacher() as teacher:
        teacher.nonsense = lambda body, number: zlib.crc32(str(body["messages"]).encode()) % 5 == 0
        teacher.gibberish = json.dumps(
            {
                "instruction": f"What would you write to {address} about all of this?",
                "answer": " ".join(["Ask +34 612 345 678, or somebody else who may know of it [1]."] * 6),
            }
        )
        dataset = build(settings_of(store, teacher), ANA.full_name)
    configs = {"sft": ("train", "validation", "test"), "preferences": ("train", "validation")}
    rows = [row for config, splits in configs.items() for split in splits for row in dataset.rows(split, config)]
    assert not any(personal.found_in(texts_of(row)) for row in rows)
    assert dataset.manifest["removed"]["rows"]["personal data or secrets"] > 5
    seen = "\n".join(map(texts_of, rows))
    assert not open_tokenizer(store).has_special(seen)
    assert ("write to [ SEP] about" in seen) == (address == "[SEP]")


def test_a_dataset_is_recorded_once_with_its_card(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)])
    dataset = build(store, "Ana Núñez")
    key = record(store, dataset)
    assert record(store, dataset) == key
    experiment = read_experiment(store, key)
    assert experiment.others["dataset"] == dataset.reference
    assert any(name.endswith("README.md") for name in experiment.assets)


@needs_articles
@pytest.mark.parametrize("author", [MAXIME, PAUL])
def test_nothing_of_real_test_articles_is_in_train(author: str, store: Settings) -> None:
    fill(store, real_articles(author))
    dataset = build(store.model_copy(update={"dataset_extract_tokens": 256}), author)
    counts = {split: len(dataset.rows(split)) for split in ("train", "validation", "test")}
    assert counts["train"] > 250
    assert min(counts.values()) > 30
    assert leaks(dataset, store) == []
    # The same by other means, word for word: no fifty words in a row of a test article are in a row of train.
    stored = contents(store)
    tests = [stored[one["id"]].casefold().split() for one in dataset.manifest["documents"]["test"]]
    windows = {tuple(words[at : at + 50]) for words in tests for at in range(len(words) - 49)}
    for row in dataset.rows("train"):
        words = texts_of(row).casefold().split()
        assert not any(tuple(words[at : at + 50]) in windows for at in range(len(words) - 49))


@needs_articles
def test_the_leakage_test_can_fail(store: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, real_articles(PAUL))
    monkeypatch.setattr("llmtwin.datasets.leakage.Unseen.is_repeated_in", lambda self, text: False)
    unguarded = build(store.model_copy(update={"dataset_extract_tokens": 256}), PAUL)
    assert leaks(unguarded, store) != []
