"""Airflow with a database of its own, and the DAGs as its processor would load them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import HOME

from llmtwin.local.airflow import connections
from llmtwin.settings import Settings, get_settings

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.models.dagrun import DagRun
    from airflow.serialization.definitions.dag import SerializedDAG
    from fastapi.testclient import TestClient
    from sqlalchemy.orm import Session

DAGS = HOME / "dags"


@pytest.fixture(scope="session", autouse=True)
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Point Airflow at an empty home before anything imports it, and create its database."""
    home = tmp_path_factory.mktemp("airflow")
    variables = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(HOME / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        # Otherwise a DAG that another test has changed within half a minute stays as it was.
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
        yield


@pytest.fixture(scope="session")
def dagbag(airflow: None) -> DagBag:
    """All DAGs of the project."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(DAGS)


@pytest.fixture
def airflow_settings(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Make DAGs see the test servers: settings through the environment, servers through Airflow's connections."""
    local = settings.model_copy(update={"crawl_allow_local": True, "sync_window_seconds": 3.0})
    for name, value in environment_of(local).items():
        monkeypatch.setenv(name, value)
    for name, connection in connections(local).items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
    get_settings.cache_clear()
    yield local
    get_settings.cache_clear()


@pytest.fixture
def api(api_server: TestClient) -> TestClient:
    """Airflow's own API server, to which no other test has told anything of assets."""
    from airflow.models.asset import AssetDagRunQueue, AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        for told in (AssetDagRunQueue, AssetEvent):
            session.execute(delete(told))
    return api_server


@pytest.fixture(scope="module")
def api_server(airflow: None) -> Iterator[TestClient]:
    """Airflow's own API server on the tests' metadata database. It lets everybody in, so it ends with its tests."""
    from airflow.api_fastapi.app import create_app, purge_cached_app
    from fastapi.testclient import TestClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "as long as SHA-512 wants one to be, " * 2)
        purge_cached_app()
        with TestClient(create_app(apps="core"), base_url="http://testserver") as client:
            token = client.get("/auth/token").json()["access_token"]
            client.headers["authorization"] = f"Bearer {token}"
            yield client


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the variables that make a process read these settings."""
    from llmtwin.settings import settings_environment

    return settings_environment(settings)


def run(dag_id: str, conf: dict[str, Any] | None = None, **options: Any) -> dict[tuple[str, int], str]:
    """Run a DAG with ``dag.test()``; return the state of each task instance by task id and map index.

    The file is loaded anew, because it reads its settings when it is imported. ``options`` are those of ``dag.test()``.
    """
    from airflow.dag_processing.dagbag import DagBag
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.merge(DagBundleModel(name="dags-folder"))
    dag = DagBag(DAGS / f"{dag_id}.py").dags[dag_id]
    # A run in this very process writes its values into the form, which the next one would find there.
    dag.params = deepcopy(dag.params)
    dag_run = dag.test(run_conf=conf or {}, **options)
    states = {(ti.task_id, ti.map_index): str(ti.state) for ti in dag_run.get_task_instances()}
    return {**states, ("run", -1): str(dag_run.state)}


def run_scheduled(dag_id: str, **options: Any) -> list[dict[tuple[str, int], str]]:
    """Run what the scheduler makes of the events of assets and of triggers, until nothing waits; return all states.

    The runs are the scheduler's own, as events, queue and ``max_active_runs`` make it decide; ``dag.test()`` makes its
    runs by hand, so it is given these.
    """
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    scheduler, found = SchedulerJobRunner(Job()), []
    while True:
        with create_session() as session:
            ready, told = DagModel.dags_needing_dagruns(session)
            wanted = [dag for dag in ready if dag.dag_id in told and dag.dag_id == dag_id]
            scheduler._create_dag_runs_asset_triggered(dag_models=wanted, session=session)
        with create_session() as session:
            scheduler._start_queued_dagruns(session)
        active = _active(dag_id)
        if not active:
            return found
        if "running" not in active:
            time.sleep(0.2)  # SQLite counts in seconds, and a run of this very second is not due
            continue
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("airflow.models.dagrun.get_or_create_dagrun", partial(_given, active["running"]))
            found.append(run(dag_id, **options))


def tell(api: TestClient, asset: str, *extras: dict[str, Any]) -> None:
    """Make events of an asset, one right after the other, once Airflow knows who waits for them."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(BundleDagBag(DAGS, bundle_path=DAGS, bundle_name="dags-folder"), "dags-folder", None)
    [found] = api.get("/api/v2/assets", params={"name_pattern": asset}).json()["assets"]
    for extra in extras:
        api.post("/api/v2/assets/events", json={"asset_id": found["id"], "extra": extra}).raise_for_status()


def _active(dag_id: str) -> dict[str, int]:
    """Return the key of a run in each state that has not ended."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    wanted = select(DagRun.state, DagRun.id).where(DagRun.dag_id == dag_id, DagRun.state.in_(("queued", "running")))
    with create_session() as session:
        return {str(state): id_ for state, id_ in session.execute(wanted)}


def _given(started: int, *, dag: SerializedDAG, session: Session, **_: Any) -> DagRun:
    from airflow.models.dagrun import DagRun

    dag_run: DagRun = session.get_one(DagRun, started)
    dag_run.dag = dag
    return dag_run
