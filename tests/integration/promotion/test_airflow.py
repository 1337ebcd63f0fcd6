"""promote_twin in a real Airflow, with scheduler and API server, up to the switch at the gateway."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from tests import waiting
from tests.adapters import BASE_MODEL, save_adapter
from tests.conftest import HOME
from tests.evaluations import save_evaluation
from tests.integration.serving.gateway.conftest import Gateway, ScriptedVllm, _settings, scripted_vllm, served

from llmtwin.cli import twin
from llmtwin.local.airflow import airflow_url
from llmtwin.local.airflow_api import AirflowApi
from llmtwin.local.ports import free_port
from llmtwin.local.services import services
from llmtwin.local.stack import LocalStack
from llmtwin.registry import Registry, Version
from llmtwin.settings import Settings, get_settings, settings_environment

pytestmark = pytest.mark.stack

DAG = "promote_twin"


@pytest.fixture(scope="module")
def vllm(model_folder: Path) -> Iterator[ScriptedVllm]:
    with scripted_vllm(free_port(), model_folder) as server:
        yield server


@pytest.fixture(scope="module")
def installation(vllm: ScriptedVllm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, LocalStack]]:
    """A gateway, and an Airflow of the same settings."""
    with pytest.MonkeyPatch.context() as patch:
        settings = _settings(vllm, tmp_path_factory.mktemp("promotion"), patch)
        home = _home_with_one_dag(tmp_path_factory.mktemp("home"))
        settings = settings.model_copy(update={"home": home, "gateway_port": free_port(), "airflow_port": free_port()})
        for name, value in settings_environment(settings).items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        stack = LocalStack(settings, [one for one in services(settings) if one.name.startswith("airflow")])
        try:
            stack.up(timeout=300)
            with served(settings) as gateway:
                yield gateway, stack
        finally:
            stack.down()
            get_settings.cache_clear()


def _home_with_one_dag(folder: Path) -> Path:
    """The project's folder as Airflow sees it, without the DAGs that would want the other servers."""
    (folder / "dags").mkdir()
    for name in (f"{DAG}.py", "pools.json"):
        shutil.copy(HOME / "dags" / name, folder / "dags")
    shutil.copytree(HOME / "plugins", folder / "plugins")
    return folder


@pytest.fixture
def settings(installation: tuple[Gateway, LocalStack]) -> Settings:
    return installation[0].settings


@pytest.fixture
def api(settings: Settings) -> AirflowApi:
    return AirflowApi(settings)


@pytest.fixture
def candidate(settings: Settings, tmp_path: Path) -> Version:
    """A candidate that was evaluated beside what is in production."""
    registry = Registry(settings.registry)
    seed = len(registry.versions()) + 1
    version = registry.register(save_adapter(tmp_path / "trained", seed=seed), BASE_MODEL, 16)
    production = registry.production()
    save_evaluation(settings, version.version, production=production.version if production else None)
    return version


def eventually(condition: Callable[[], Any], seconds: float = 180.0) -> Any:
    # Airflow takes its time from one task to the next.
    return waiting.eventually(condition, seconds)


def call(api: AirflowApi, method: str, path: str, **arguments: Any) -> httpx.Response:
    """Any other call, with the token of the client."""
    return api._http.request(method, path, **arguments)


def without_evaluating(api: AirflowApi, run_id: str) -> None:
    """Mark the evaluation as done: it is there already, and its own tests make real ones."""
    path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/evaluate"
    eventually(lambda: call(api, "PATCH", path, json={"new_state": "success"}).is_success)


def trigger(api: AirflowApi, version: Version) -> str:
    run_id = api.trigger(DAG, {"version": version.version}, timeout_seconds=180)
    without_evaluating(api, run_id)
    return run_id


def decide(api: AirflowApi, run_id: str, option: str, **fields: str) -> None:
    """Answer until that counts: Airflow asks again when an answer comes before its scheduler knows of the question."""

    def decided() -> bool:
        if api.question(DAG, run_id, "approve"):
            api.answer(DAG, run_id, "approve", option, **fields)
        return api.task_states(DAG, run_id)["approve"] == "success"

    eventually(decided)


def status(settings: Settings, version: Version) -> str:
    return str(Registry(settings.registry).get(version.version).status)


def test_a_trained_candidate_is_served_after_an_approval_over_the_api(
    installation: tuple[Gateway, LocalStack], settings: Settings, api: AirflowApi, candidate: Version, tmp_path: Path
) -> None:
    """As train_twin ends: its asset is updated, which starts the run; then the driver of `make twin` takes over."""
    gateway = installation[0]
    # The event names its version: a newer candidate is not taken for it.
    Registry(settings.registry).register(save_adapter(tmp_path / "newer", seed=99), BASE_MODEL, 16)
    eventually(lambda: call(api, "GET", f"/api/v2/dags/{DAG}").is_success)
    [asset] = call(api, "GET", "/api/v2/assets", params={"name_pattern": "twin_candidates"}).json()["assets"]
    event = {"asset_id": asset["id"], "extra": {"version": candidate.version}}
    call(api, "POST", "/api/v2/assets/events", json=event).raise_for_status()
    run_id = eventually(lambda: (api.unfinished(DAG) or [None])[0])
    marking = threading.Thread(target=without_evaluating, args=[api, run_id])
    marking.start()
    assert twin.promote(Console(quiet=True), settings, AirflowApi(settings), candidate.version, yes=True)
    marking.join()
    assert api.run_state(DAG, run_id) == "success"
    assert status(settings, candidate) == "production"
    with gateway.http as client:
        answer = client.post(
            "/v1/chat/completions", json={"model": "twin", "messages": [{"role": "user", "content": "?"}]}
        )
    assert answer.json()["model"] == candidate.served_name


def test_the_report_is_shown_to_those_who_have_logged_in(
    settings: Settings, api: AirflowApi, candidate: Version
) -> None:
    run_id = trigger(api, candidate)
    question = eventually(lambda: api.question(DAG, run_id, "approve"))
    link = f"/llmtwin/evaluations/{candidate.version}/report.html"
    assert f"[Open the report]({link})" in question["body"]
    assert httpx.get(airflow_url(settings) + link, trust_env=False).status_code == 401
    assert "So it writes." in call(api, "GET", link).text
    # And the first of two answers counts.
    assert api.answer(DAG, run_id, "approve", "Reject", reason="It brags.")
    assert not api.answer(DAG, run_id, "approve", "Approve")
    decide(api, run_id, "Reject", reason="It brags.")
    eventually(lambda: api.run_state(DAG, run_id) == "success")
    found = Registry(settings.registry).get(candidate.version)
    assert (found.status, found.reason) == ("archived", "admin: It brags.")


def test_a_scheduler_that_is_killed_loses_no_decision(
    installation: tuple[Gateway, LocalStack], settings: Settings, api: AirflowApi, candidate: Version
) -> None:
    stack = installation[1]
    run_id = trigger(api, candidate)
    eventually(lambda: api.question(DAG, run_id, "approve"))
    [scheduler] = [one for one in stack.status() if one.name == "airflow-scheduler"]
    assert scheduler.pid is not None
    os.kill(scheduler.pid, signal.SIGKILL)
    decide(api, run_id, "Approve")
    eventually(lambda: api.run_state(DAG, run_id) == "success")
    assert status(settings, candidate) == "production"


def test_while_vllm_is_down_nothing_is_served_and_clearing_the_task_goes_on(
    vllm: ScriptedVllm, settings: Settings, api: AirflowApi, candidate: Version
) -> None:
    before = Registry(settings.registry).production()
    run_id = trigger(api, candidate)
    eventually(lambda: api.question(DAG, run_id, "approve"))
    vllm.script(status=503)
    decide(api, run_id, "Approve")
    eventually(lambda: api.task_states(DAG, run_id)["promote"] == "up_for_retry")
    assert Registry(settings.registry).production() == before
    vllm.script()
    body = {"dag_run_id": run_id, "task_ids": ["promote"], "only_failed": False, "dry_run": False}
    call(api, "POST", f"/api/v2/dags/{DAG}/clearTaskInstances", json=body).raise_for_status()
    eventually(lambda: api.run_state(DAG, run_id) == "success")
    assert status(settings, candidate) == "production"
