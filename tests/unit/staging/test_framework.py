"""The staging framework on small projects of its own."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from llmtwin.errors import BatchError, ModelError, TableTestError
from llmtwin.files import durable
from llmtwin.settings import Settings
from llmtwin.staging import (
    Batch,
    Context,
    Project,
    batches,
    build,
    create_batch,
    load_project,
    open_batch,
    pending_batches,
    prune_batches,
    run_tests,
)
from llmtwin.staging.artifacts import read_results

SOURCES = """
sources:
  - name: cdc_events
    description: Numbers; one row per number.
    columns:
      - {name: id, description: which, data_type: bigint}
      - {name: text, description: what, data_type: string}
"""
MODEL = """
models:
  - name: stg_numbers
    description: Good numbers; one row per number.
    columns:
      - name: id
        description: which
        data_type: bigint
        constraints: [{type: not_null}]
        data_tests: [unique, not_null, {relationships: {to: "ref('cdc_events')", field: id}}]
      - name: text
        description: what
        data_type: string
        constraints: [{type: check, expression: "length(text) < 5", name: text is too long}]
        data_tests: [{accepted_values: {values: [a, b, "it's"]}}]
"""
COPY = """
from llmtwin.staging import ModelOutput
def model(cdc_events, context):
    return ModelOutput(cdc_events.to_pylist())
"""


def project(folder: Path, **files: str) -> Project:
    for name, text in files.items():
        path = folder / name.replace("__", "/", 1).replace("_yml", ".yml").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_project(folder)


def numbers(folder: Path, model: str = MODEL, code: str = COPY) -> Project:
    return project(folder, sources__cdc_yml=SOURCES, staging__stg_numbers_yml=model, staging__stg_numbers_py=code)


def batch_of(root: Path, *rows: tuple[int | None, str | None]) -> Batch:
    table = {"id": [row[0] for row in rows], "text": [row[1] for row in rows]}
    return create_batch(root, pa.table(table, schema=pa.schema({"id": pa.int64(), "text": pa.string()})))


@pytest.fixture
def context() -> Context:
    return Context(Settings())


def test_good_rows_pass_and_are_counted(tmp_path: Path, context: Context) -> None:
    batch = batch_of(tmp_path / "batches", (1, "a"), (2, "it's"))
    result = build(numbers(tmp_path), batch, "stg_numbers", context)
    assert (result.rows_in, result.rows_out, result.quarantined) == ({"cdc_events": 2}, 2, 0)
    assert [test.status for test in result.tests] == ["pass"] * 4
    assert batch.read("stg_numbers").to_pylist() == [{"id": 1, "text": "a"}, {"id": 2, "text": "it's"}]
    assert not batch.has("stg_numbers.quarantine")


def test_rows_that_break_the_contract_go_to_quarantine_with_all_their_reasons(tmp_path: Path, context: Context) -> None:
    batch = batch_of(tmp_path / "batches", (1, "a"), (None, "far too long"), (3, "far too long"))
    result = build(numbers(tmp_path), batch, "stg_numbers", context)
    assert (result.rows_out, result.quarantined) == (1, 2)
    reasons = batch.read("stg_numbers.quarantine")["reason"].to_pylist()
    assert reasons == ["id is null; text is too long", "text is too long"]


def test_a_rebuild_without_bad_rows_clears_the_quarantine(tmp_path: Path, context: Context) -> None:
    batch = batch_of(tmp_path / "batches", (None, "a"))
    models = numbers(tmp_path)
    build(models, batch, "stg_numbers", context)
    batch.write("cdc_events", pa.table({"id": [1], "text": ["a"]}))
    build(models, batch, "stg_numbers", context)
    assert not batch.has("stg_numbers.quarantine")
    assert [entry["quarantined"] for entry in read_results(batch)] == [0]


def test_a_failed_table_test_writes_nothing_and_is_recorded(tmp_path: Path, context: Context) -> None:
    batch = batch_of(tmp_path / "batches", (1, "a"), (1, "b"), (2, "c"))
    with pytest.raises(TableTestError, match=r"unique_stg_numbers_id \(1 rows\); accepted_values_stg_numbers_text"):
        build(numbers(tmp_path), batch, "stg_numbers", context)
    assert not batch.has("stg_numbers")
    [entry] = read_results(batch)
    assert entry["status"] == "fail"
    assert {test["name"] for test in entry["tests"] if test["status"] == "fail"} == {
        "unique_stg_numbers_id",
        "accepted_values_stg_numbers_text",
    }


def test_stored_tables_can_be_tested_again(tmp_path: Path, context: Context) -> None:
    models = numbers(tmp_path)
    batch = batch_of(tmp_path / "batches", (1, "a"))
    build(models, batch, "stg_numbers", context)
    batch.write("stg_numbers", pa.table({"id": [7, 7], "text": ["a", "a"]}))
    failed = {test.name for test in run_tests(models, batch, "stg_numbers") if test.status == "fail"}
    assert failed == {"unique_stg_numbers_id", "relationships_stg_numbers_id"}


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        (COPY.replace(".to_pylist()", ".append_column('more', [[1]]).to_pylist()"), "does not have: more"),
        (COPY.replace("cdc_events.to_pylist()", "[{'id': 'one'}]"), "column id is no int64"),
        ("", "must define a function `model"),
        (COPY.replace("cdc_events,", "nothing,"), "reads nothing, which does not exist"),
    ],
)
def test_a_model_that_is_not_its_contract_is_an_error(
    tmp_path: Path, context: Context, code: str, complaint: str
) -> None:
    batch = batch_of(tmp_path / "batches", (1, "a"))
    with pytest.raises(ModelError, match=complaint):
        build(numbers(tmp_path, code=code), batch, "stg_numbers", context)


def test_circles_are_refused(tmp_path: Path) -> None:
    one = MODEL.replace("stg_numbers", "a").split("        constraints")[0]
    with pytest.raises(ModelError, match="in a circle"):
        project(
            tmp_path,
            staging__a_yml=one,
            staging__a_py="def model(b, context): ...",
            staging__b_yml=one.replace("name: a", "name: b"),
            staging__b_py="def model(a, context): ...",
        )


def test_a_description_must_name_the_grain(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="one row per"):
        numbers(tmp_path, model=MODEL.replace("; one row per number", ""))


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (None, ["stg_documents", "int_chunks", "fct_embeddings"]),
        ("int_chunks", ["int_chunks"]),
        ("int_chunks+", ["int_chunks", "fct_embeddings"]),
        ("+int_chunks", ["stg_documents", "int_chunks"]),
        ("cdc_events+", ["stg_documents", "int_chunks", "fct_embeddings"]),
        ("marts staging", ["stg_documents", "fct_embeddings"]),
    ],
)
def test_selection_is_dbts(selection: str | None, names: list[str]) -> None:
    assert [model.name for model in load_project().select(selection)] == names


def test_a_selection_of_nothing_is_an_error() -> None:
    with pytest.raises(ModelError, match="names no model; there are: cdc_events"):
        load_project().select("int_chunk")


def test_a_batch_without_events_is_no_batch(tmp_path: Path) -> None:
    (tmp_path / "20260101T000000000000Z-aaaaaa").mkdir()
    assert batches(tmp_path) == []


def test_pending_batches_are_those_without_success(tmp_path: Path) -> None:
    first, second = batch_of(tmp_path, (1, "a")), batch_of(tmp_path, (2, "b"))
    first.complete()
    assert pending_batches(tmp_path) == [second]
    assert open_batch(tmp_path, "latest") == second
    with pytest.raises(BatchError, match=second.id):
        open_batch(tmp_path, "nonsense")


def test_pruning_keeps_the_newest_and_all_that_is_unfinished(tmp_path: Path) -> None:
    made = [batch_of(tmp_path, (number, "a")) for number in range(5)]
    for batch in made[1:]:
        batch.complete()
    assert prune_batches(tmp_path, keep=2) == 2
    assert batches(tmp_path) == [made[0], made[3], made[4]]


def test_pruning_removes_what_killed_drains_left_but_not_what_a_drain_may_still_write(tmp_path: Path) -> None:
    unfinished, killed, bare, writing = (tmp_path / f"20260101T00000000000{number}Z-aaaaaa" for number in range(4))
    for folder, name in (
        (unfinished, "cdc_events.parquet"),
        (killed, ".cdc_events.parquet.7.tmp"),
        (writing, ".cdc_events.parquet.8.tmp"),
    ):
        folder.mkdir()
        (folder / name).touch()
    bare.mkdir()
    for folder in (unfinished, killed, bare):
        os.utime(folder, (time.time() - 7200,) * 2)
    assert prune_batches(tmp_path, keep=1) == 2
    assert sorted(tmp_path.iterdir()) == [unfinished, writing]


def test_a_damaged_table_says_how_to_mend_it(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, (1, "a"))
    batch.path("stg_numbers").write_bytes(b"PAR1 broken")
    with pytest.raises(BatchError, match="delete the file and build stg_numbers again"):
        batch.read("stg_numbers")
    batch.path("cdc_events").write_bytes(b"")
    with pytest.raises(BatchError, match=f"remove {batch.folder}, then run `llmtwin verify --repair`"):
        batch.read("cdc_events")


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="No space left"), durable(path) as file:
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_batch_that_cannot_be_written_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(OSError, match="No space left"):
        batch_of(tmp_path, (1, "a"))
    assert batches(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
