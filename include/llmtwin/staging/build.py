"""Building models of a batch: run the function, check every row, test the table, write it, say what happened."""

from __future__ import annotations

import time

from llmtwin.errors import TableTestError
from llmtwin.staging.artifacts import ModelResult, record_result, write_manifest
from llmtwin.staging.batch import Batch
from llmtwin.staging.contract import split_rows, to_table
from llmtwin.staging.data_tests import TestResult, run_data_tests
from llmtwin.staging.model import Context, Rejected
from llmtwin.staging.project import Project


def build(project: Project, batch: Batch, name: str, context: Context) -> ModelResult:
    """Build one model from the tables before it and write its table.

    Rows that break the contract go to ``<model>.quarantine.parquet`` with their reasons and the rest goes on.

    Raises:
        TableTestError: A table-level test failed. Nothing was written, so nothing of this batch goes further.
        BatchError: A table this model reads was not built.
        ModelError: The model returned something that is not its contract.
    """
    model = project.nodes[name]
    if model.function is None:
        raise TypeError(f"{name} is a source; sources are written, not built")
    started = time.perf_counter()
    inputs = {table: batch.read(table) for table in model.inputs}
    output = model.function(**inputs, context=context)
    table, broken = split_rows(model.spec, to_table(model.spec, output))
    rejected = output.rejected + broken
    tests = run_data_tests(model.spec, {**inputs, name: table})
    result = ModelResult(
        unique_id=model.unique_id,
        status="success",
        execution_time=time.perf_counter() - started,
        rows_in={table_name: rows.num_rows for table_name, rows in inputs.items()},
        rows_out=table.num_rows,
        quarantined=len(rejected),
        tests=tests,
    )
    failed = [test for test in tests if test.status == "fail"]
    if failed:
        record_result(batch, result.failed())
        raise TableTestError(_explain(batch, name, failed))
    _write_quarantine(batch, name, rejected)
    batch.write(name, table)
    record_result(batch, result)
    write_manifest(project, batch.folder)
    return result


def run_tests(project: Project, batch: Batch, name: str) -> list[TestResult]:
    """Return how the tests of a table go as it is stored; nothing is written.

    Raises:
        BatchError: The table, or one it reads, was not built.
        ModelError: A test has an unknown name, or refers to a table this one does not read.
    """
    model = project.nodes[name]
    return run_data_tests(model.spec, {table: batch.read(table) for table in (*model.inputs, name)})


def _write_quarantine(batch: Batch, name: str, rejected: list[Rejected]) -> None:
    import orjson
    import pyarrow as pa

    quarantine = f"{name}.quarantine"
    if not rejected:
        batch.remove(quarantine)
        return
    batch.write(
        quarantine,
        pa.table(
            {
                "reason": [item.reason for item in rejected],
                "document_id": [str(item.row.get("document_id")) for item in rejected],
                "row": [orjson.dumps(item.row, default=str).decode() for item in rejected],
            }
        ),
    )


def _explain(batch: Batch, name: str, failed: list[TestResult]) -> str:
    tests = "; ".join(f"{test.name} ({test.failures} rows)" for test in failed)
    return (
        f"batch {batch.id}: {name} failed {tests}. Nothing of it was written, so nothing of it goes further. The SQL "
        f"of its tests is in {batch.folder / 'run_results.json'}; mend the model, try it with "
        f"`llmtwin staging build --batch {batch.id} --select {name}`, then clear the task."
    )
