"""What cannot become a dataset says why, and what was there stays as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest
import stamina
from tests.articles import fill
from tests.authors import ANA, written
from tests.documents import source_file
from tests.integration.datasets import builder
from tests.teacher import ScriptedTeacher, settings_of
from typer.testing import CliRunner

from llmtwin.cli import app
from llmtwin.datasets import build, datasets, due_authors, open_dataset, summary
from llmtwin.errors import DatasetError, TeacherError, VectorStoreError
from llmtwin.settings import Settings, get_settings, settings_environment

pytestmark = pytest.mark.stack

ANA_NAME = ANA.full_name


def start(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | settings_environment(settings)
    command = [sys.executable, str(builder.__file__), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def leftovers(settings: Settings) -> list[str]:
    return [path.name for path in settings.datasets.glob("*/.building-*")]


def test_an_empty_feature_store(store: Settings) -> None:
    for author in (ANA_NAME, None):
        with pytest.raises(DatasetError, match="holds no documents: crawl something first"):
            build(store, author)
    assert due_authors(store) == []
    assert datasets(store) == []


def test_an_author_nobody_knows(store: Settings) -> None:
    fill(store, [written(1)])
    with pytest.raises(DatasetError, match="nothing by 'Nobody': there is Ana Núñez"):
        build(store, "Nobody")


def test_qdrant_down(store: Settings) -> None:
    with pytest.raises(VectorStoreError, match="llmtwin up"):
        build(store.model_copy(update={"qdrant_url": "http://127.0.0.1:1"}), ANA_NAME)


def test_one_document(store: Settings) -> None:
    fill(store, [written(1)])
    with pytest.raises(DatasetError, match=r"1 usable documents.*too few.*Crawl more"):
        build(store, ANA_NAME)


def test_an_author_with_only_code(store: Settings) -> None:
    fill(store, [source_file(number) for number in range(8)])
    with pytest.raises(DatasetError, match=r"none of 8 documents.*8 documents removed \(code\)"):
        build(store, ANA_NAME)


def test_documents_of_one_line(store: Settings) -> None:
    fill(store, [written(number, content=f"Line number {number}.") for number in range(8)])
    with pytest.raises(DatasetError, match=r"none of 8 documents.*8 extracts removed \(too short\)"):
        build(store, ANA_NAME)
    assert datasets(store) == []


def test_a_base_model_without_tokenizer(store: Settings, tmp_path: Path) -> None:
    fill(store, [written(number) for number in range(6)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"no tokenizer of the base model.*LLMTWIN_BASE_MODEL"):
        build(store.model_copy(update={"base_model": str(tmp_path / "empty")}), ANA_NAME)


def test_a_teacher_that_is_down_and_comes_back(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)])
    with stamina.set_testing(True, attempts=2):
        with ScriptedTeacher() as teacher:
            taught = settings_of(store, teacher)
            teacher.nonsense = lambda body, number: number == 30 and bool(teacher.refusals.extend([(503, None)] * 50))
            with pytest.raises(TeacherError, match=r"HTTP 503.*kept: mend it and build again"):
                build(taught, ANA_NAME)
            assert datasets(store) == []
            answered = len(teacher.requests)
            teacher.refusals.clear()
            dataset = build(taught, ANA_NAME)
            assert len(teacher.requests) == dataset.manifest["teacher"]["requests"]
            assert answered < len(teacher.requests)
        with pytest.raises(TeacherError, match="does not answer"):
            build(taught.model_copy(update={"teacher_model": "another"}), ANA_NAME)
    assert open_dataset(store, "ana-nunez").reference == dataset.reference


def test_a_teacher_that_talks_nonsense_now_and_then_costs_those_items(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)])
    with ScriptedTeacher() as teacher:
        teacher.nonsense = lambda body, number: zlib.crc32(str(body["messages"]).encode()) % 3 == 0
        dataset = build(settings_of(store, teacher, teacher_attempts=2), ANA_NAME)
    dropped = dataset.manifest["removed"]["answers"]
    assert dropped["an extract without a usable instruction"] > 0
    extracts = sum(one["extracts"] for split in dataset.manifest["documents"].values() for one in split)
    written_rows = [row for split in ("train", "validation", "test") for row in dataset.rows(split)]
    kept = sum(row["type"] == "instruction" for row in written_rows)
    assert kept + dropped["an extract without a usable instruction"] == extracts


def test_imitations_that_repeat_what_must_stay_unseen_cost_the_preferences_alone(store: Settings) -> None:
    documents = [written(number) for number in range(12)]
    fill(store, documents)
    with ScriptedTeacher() as teacher:
        teacher.nonsense = lambda body, number: "Write about" in body["messages"][0]["content"]
        teacher.gibberish = json.dumps({"answer": documents[-1].content[:400]})  # of the newest, which is tested on
        dataset = build(settings_of(store, teacher), ANA_NAME)
    assert dataset.manifest["removed"]["rows"]["repeats what must stay unseen"] > 0
    assert dataset.manifest["counts"].keys() == {"sft"}
    assert summary(dataset)["preferences"] == 0


def test_a_teacher_that_talks_only_nonsense(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)])
    with ScriptedTeacher() as teacher:
        teacher.nonsense = lambda body, number: True
        with pytest.raises(TeacherError, match=r"no usable answer.*LLMTWIN_TEACHER_MODEL"):
            build(settings_of(store, teacher), ANA_NAME)
    assert datasets(store) == []


@pytest.mark.parametrize("content", ["questions: 3", "questions: [1]", "- no mapping", "questions: ["])
def test_a_broken_file_of_questions(content: str, store: Settings, tmp_path: Path) -> None:
    fill(store, [written(number) for number in range(6)])
    (tmp_path / "questions.yaml").write_text(content)
    with ScriptedTeacher() as teacher:
        taught = settings_of(store, teacher, dataset_questions_file=tmp_path / "questions.yaml")
        with pytest.raises(DatasetError, match=r"questions\.yaml.*questions"):
            build(taught, ANA_NAME)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("nobody", "no dataset 'nobody': there is ana-nunez;"),
        ("ana-nunez@ffffffffffff", r"no version 'ffffffffffff' of the dataset ana-nunez: there is [0-9a-f]{12}"),
        ("../ana-nunez@..", "no version"),
    ],
)
def test_a_version_that_does_not_exist(reference: str, reason: str, store: Settings) -> None:
    fill(store, [written(number) for number in range(6)])
    build(store, ANA_NAME)
    with pytest.raises(DatasetError, match=reason):
        open_dataset(store, reference)
    with pytest.raises(DatasetError, match=r"no sft/tests\.parquet: there is sft/test"):
        open_dataset(store, "Ana Núñez").rows("tests")


def test_a_build_that_was_killed_is_repeated_at_no_cost(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)])
    with ScriptedTeacher() as teacher:
        taught = settings_of(store, teacher, teacher_concurrency=2)
        for kill_at in (5, 40, 90):
            teacher.delay = 0.02
            process = start(taught, ANA_NAME)
            while len(teacher.requests) < kill_at:
                assert process.poll() is None, process.communicate()
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert datasets(store) == []
            assert due_authors(store.model_copy(update={"dataset_min_hours": 0.0})) == [ANA_NAME]
        teacher.delay = 0.0
        dataset = build(taught, ANA_NAME)
        # At most those in flight were asked again: two at each of three kills.
        assert dataset.manifest["teacher"]["requests"] <= len(teacher.requests)
        assert len(teacher.requests) <= dataset.manifest["teacher"]["requests"] + 6
    assert leftovers(store) == []


def test_two_builds_at_once(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)])
    with ScriptedTeacher() as teacher:
        teacher.delay = 0.05
        taught = settings_of(store, teacher)
        results: list[object] = []
        first = threading.Thread(target=lambda: results.append(build(taught, ANA_NAME).reference))
        first.start()
        while not teacher.requests:
            time.sleep(0.005)
        with pytest.raises(DatasetError, match="another build of ana-nunez is under way"):
            build(taught, ANA_NAME)
        teacher.delay = 0.0
        first.join()
    assert results == [open_dataset(store, "ana-nunez").reference]


def test_a_full_disk(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)])
    before = build(store, ANA_NAME)
    fill(store, [written(99)], version=2)
    process = start(store, ANA_NAME, "4000")
    _, error = process.communicate()
    assert process.returncode == 1
    assert "free space there, or let LLMTWIN_DATASETS_DIR name another folder" in error
    assert [one.reference for one in datasets(store)] == [before.reference]
    assert leftovers(store) == []
    assert build(store, ANA_NAME).reference != before.reference


def test_what_a_kill_left_behind_while_writing_is_removed(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)])
    left = store.datasets / "ana-nunez" / ".building-abc"
    (left / "sft").mkdir(parents=True)
    (left / "dataset.json").write_text("{}")
    assert datasets(store) == []
    build(store, ANA_NAME)
    assert leftovers(store) == []
    assert len(datasets(store)) == 1


def test_an_author_is_due_after_enough_changes_and_enough_time(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)])
    often = store.model_copy(update={"dataset_min_hours": 0.0, "dataset_min_changes": 2})
    assert due_authors(often) == [ANA_NAME]
    build(often, ANA_NAME)
    assert due_authors(often) == []
    fill(store, [written(100)], version=2)
    assert due_authors(often) == []
    fill(store, [written(101)], version=2)
    assert due_authors(often) == [ANA_NAME]
    assert due_authors(often.model_copy(update={"dataset_min_hours": 1.0})) == []


def test_an_author_who_cannot_be_built_is_not_tried_every_minute(store: Settings) -> None:
    fill(store, [source_file(number) for number in range(8)])
    often = store.model_copy(update={"dataset_min_hours": 0.0})
    assert due_authors(often) == [ANA_NAME]
    with pytest.raises(DatasetError):
        build(often, ANA_NAME)
    assert due_authors(often) == []


def test_the_commands(store: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, [written(number) for number in range(12)])
    for name, value in settings_environment(store).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()
    run = CliRunner().invoke
    assert "no datasets yet" in run(app, ["datasets", "ls"]).output
    built = run(app, ["datasets", "build", ANA_NAME, "--no-track", "--no-teacher", "--seed", "3"])
    assert built.exit_code == 0, built.exception
    [dataset] = datasets(store)
    assert dataset.manifest["seed"] == 3
    assert dataset.reference in built.output
    listed = run(app, ["datasets", "ls"]).output.split()
    assert [dataset.reference, str(len(dataset.rows("train")))] == [listed[8], listed[11]]
    shown = run(app, ["datasets", "show", "ana-nunez"]).output
    assert "Essay" in shown
    assert isinstance(run(app, ["datasets", "show", "nobody"]).exception, DatasetError)
    get_settings.cache_clear()
