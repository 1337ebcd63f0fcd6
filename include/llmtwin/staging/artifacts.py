"""dbt's artifacts: ``manifest.json`` (the graph) and ``run_results.json`` (what a build did), one of each per batch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import orjson

import llmtwin
from llmtwin.files import write_json
from llmtwin.staging.batch import Batch
from llmtwin.staging.data_tests import TestResult
from llmtwin.staging.project import Project

RUN_RESULTS = "run_results.json"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ModelResult:
    """What building one model did."""

    unique_id: str
    status: str
    execution_time: float
    """Seconds."""
    rows_in: dict[str, int]
    rows_out: int
    quarantined: int
    tests: list[TestResult] = field(default_factory=list)
    completed_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    def failed(self) -> Self:
        """Return the same result with the status ``fail``."""
        return replace(self, status="fail")


def record_result(batch: Batch, result: ModelResult) -> None:
    """Put a model's result into the batch's ``run_results.json``, in place of an earlier one of the same model."""
    results = [entry for entry in read_results(batch) if entry["unique_id"] != result.unique_id]
    results.append(asdict(result))
    content = {"metadata": _metadata(), "batch_id": batch.id, "results": results}
    write_json(batch.folder / RUN_RESULTS, content, indent=True)


def read_results(batch: Batch) -> list[dict[str, Any]]:
    """Return the results recorded for a batch, in the order they were made."""
    path = batch.folder / RUN_RESULTS
    return list(orjson.loads(path.read_bytes())["results"]) if path.exists() else []


def manifest(project: Project) -> dict[str, Any]:
    """Return the graph: nodes with columns, tests and inputs, and who reads whom."""
    ids = {name: node.unique_id for name, node in project.nodes.items()}
    return {
        "nodes": {
            node.unique_id: {
                "name": node.name,
                "resource_type": node.resource_type,
                "layer": node.layer,
                "description": node.spec.description,
                "config": node.spec.config.model_dump(),
                "columns": {
                    column.name: column.model_dump(exclude={"name"}, exclude_defaults=True)
                    for column in node.spec.columns
                },
                "data_tests": node.spec.data_tests,
                "depends_on": {"nodes": [ids[name] for name in node.inputs]},
            }
            for node in project.nodes.values()
        },
        "parent_map": {node.unique_id: [ids[name] for name in node.inputs] for node in project.nodes.values()},
        "child_map": {node.unique_id: [ids[n] for n in project.children(node.name)] for node in project.nodes.values()},
    }


def write_manifest(project: Project, folder: Path) -> Path:
    """Write ``manifest.json`` into a folder."""
    write_json(folder / MANIFEST, {"metadata": _metadata(), **manifest(project)}, indent=True)
    return folder / MANIFEST


def _metadata() -> dict[str, Any]:
    return {"generated_at": datetime.now(UTC).isoformat(), "llmtwin_version": llmtwin.__version__}
