"""Rules every DAG of this project keeps, and the shape of each graph."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.dags.conftest import DAGS

from llmtwin.settings import get_settings

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

FILES = {"build_datasets": 1, "crawl_sources": 1, "promote_twin": 1, "sync_features": 1, "train_twin": 1}


def test_every_file_holds_the_dags_it_should(dagbag: DagBag) -> None:
    assert dagbag.import_errors == {}
    assert {path.stem for path in DAGS.glob("*.py")} == FILES.keys()
    for stem, count in FILES.items():
        assert sum(dag.fileloc.endswith(f"{stem}.py") for dag in dagbag.dags.values()) == count


@pytest.mark.parametrize("dag_id", FILES)
def test_policy(dagbag: DagBag, dag_id: str) -> None:
    dag = dagbag.dags[dag_id]
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert "llmtwin" in dag.tags
    assert dag.doc_md is not None
    assert "### Runbook" in dag.doc_md
    for task in dag.tasks:
        assert task.owner == "llmtwin"
        assert task.retries >= 1
        assert task.retry_delay.total_seconds() > 0


@pytest.mark.parametrize("dag_id", FILES)
def test_graph(dagbag: DagBag, dag_id: str, snapshot: SnapshotAssertion) -> None:
    dag = dagbag.dags[dag_id]
    assert {
        task.task_id: {
            "operator": task.task_type,
            "downstream": sorted(task.downstream_task_ids),
            "trigger_rule": str(task.trigger_rule),
            "pool": task.pool,
            "inlets": sorted(asset.name for asset in task.inlets),
            "outlets": sorted(asset.name for asset in task.outlets),
        }
        for task in dag.tasks
    } == snapshot


@pytest.mark.parametrize("dag_id", FILES)
def test_a_dag_file_is_wiring(dag_id: str) -> None:
    code = (DAGS / f"{dag_id}.py").read_text().split('"""', 2)[2]
    assert len(code.splitlines()) <= 105


def test_every_pool_a_task_uses_is_declared(dagbag: DagBag) -> None:
    declared = json.loads((DAGS / "pools.json").read_text())
    used = {task.pool for dag in dagbag.dags.values() for task in dag.tasks} - {"default_pool"}
    assert used == declared.keys()


def test_stages_that_write_to_qdrant_run_one_at_a_time(dagbag: DagBag) -> None:
    dag = dagbag.dags["sync_features"]
    assert dag.get_task("batch.clean").max_active_tis_per_dag == 1
    assert dag.get_task("batch.embed").max_active_tis_per_dag == 1


def test_only_training_goes_to_the_workers_of_its_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("LLMTWIN_TRAIN_QUEUE", "gpu")
    get_settings.cache_clear()
    try:
        dag = DagBag(DAGS / "train_twin.py").dags["train_twin"]
    finally:
        get_settings.cache_clear()
    assert {task.task_id for task in dag.tasks if task.queue == "gpu"} == {"train"}
    assert len({task.queue for task in dag.tasks}) == 2
