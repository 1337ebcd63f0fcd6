"""promote_twin from candidate to switch, its human answering over Airflow's REST API."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.dags.conftest import environment_of, run, run_scheduled, tell
from tests.evaluations import save_evaluation
from tests.integration.promotion.conftest import (
    Gateway,
    ScriptedVllm,
    Train,
    gateway_settings,
    model_folder,
    own,
    scripted_server,
    serve,
    train,
    vllm,
)

from llmtwin.registry import Registry, Version
from llmtwin.settings import Settings, get_settings

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

__all__ = ["gateway_settings", "model_folder", "own", "scripted_server", "serve", "train", "vllm"]


@pytest.fixture
def settings(own: Gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The settings of the test's gateway, for the DAG too."""
    settings = own.settings.model_copy(update={"vllm_url": own.settings.vllm, "gateway_url": own.url})
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield settings
    get_settings.cache_clear()


def states(*settled: str, failed: str | None = None) -> dict[tuple[str, int], str]:
    """The states of a run by hand in which these tasks succeeded, one failed and those behind it had no chance."""
    order = ["choose", "evaluate", "gate", "approve", "promote", "archive"]
    missed = "upstream_failed" if failed else "skipped"
    found = {(task, -1): "success" if task in settled else "failed" if task == failed else missed for task in order}
    go_on = "skipped" if "choose" in settled else "upstream_failed"
    return {**found, ("go_on", -1): go_on, ("run", -1): "failed" if failed else "success"}


@contextmanager
def human(api: TestClient, *answers: dict[str, Any]) -> Iterator[list[httpx.Response]]:
    """Answer what waits for a human, over the API, while the block runs; yield what the API said."""
    said: list[httpx.Response] = []
    done = threading.Event()

    def answer() -> None:
        while not done.is_set():
            found = api.get("/api/v2/dags/promote_twin/dagRuns/~/hitlDetails?state=awaiting_input").json()
            for detail in found["hitl_details"]:
                run_id = detail["task_instance"]["dag_run_id"]
                path = f"/api/v2/dags/promote_twin/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
                said.append(api.get(path))
                said.extend(api.patch(path, json=one) for one in answers)
                return
            time.sleep(0.2)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield said
    finally:
        done.set()
        thread.join()


def promote_twin(version: str | None = None, **options: Any) -> dict[tuple[str, int], str]:
    # The DAGs's tests evaluate nothing: the evaluation is there already, and its own tests make real ones.
    return run("promote_twin", {"version": version}, mark_success_pattern="evaluate", **options)


def version(settings: Settings, name: str) -> Version:
    return Registry(settings.registry).get(name)


def test_an_approved_candidate_is_served_and_a_second_answer_is_refused(
    settings: Settings, train: Train, api: TestClient
) -> None:
    save_evaluation(settings, train())
    yes, no = {"chosen_options": ["Approve"]}, {"chosen_options": ["Reject"], "params_input": {"reason": "late"}}
    with human(api, yes, no) as said:
        found = promote_twin()
    assert found == states("choose", "evaluate", "gate", "approve", "promote")
    assert [response.status_code for response in said] == [200, 200, 409]
    question = said[0].json()
    assert question["subject"] == "Serve version 1 as twin?"
    assert "[Open the report](/llmtwin/evaluations/1/report.html)" in question["body"]
    assert "perplexity\\_ratio is 0.6" in question["body"]
    assert question["options"] == ["Approve", "Reject"]
    assert (version(settings, "1").status, version(settings, "1").reason) == ("production", None)


def test_what_the_gate_rejects_is_archived_and_nobody_is_asked(settings: Settings, train: Train) -> None:
    save_evaluation(settings, train(), perplexity_ratio=1.4)
    assert promote_twin() == states("choose", "evaluate", "gate", "archive")
    assert version(settings, "1").status == "archived"
    assert "the gate: it must know the author's voice better" in str(version(settings, "1").reason)


def test_what_a_human_rejects_is_archived_with_the_reason(settings: Settings, train: Train, api: TestClient) -> None:
    save_evaluation(settings, train())
    with human(api, {"chosen_options": ["Reject"], "params_input": {"reason": "It brags."}}):
        found = promote_twin("1")
    assert found == states("choose", "evaluate", "gate", "approve", "archive")
    assert version(settings, "1").status == "archived"
    assert str(version(settings, "1").reason).endswith(": It brags.")


def test_a_candidate_that_nobody_decides_on_stays_one_and_the_run_fails(
    settings: Settings, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_evaluation(settings, train())
    monkeypatch.setenv("LLMTWIN_APPROVAL_DAYS", "0.00001")
    get_settings.cache_clear()
    with scheduler_at_work():
        found = promote_twin()
    assert found == states("choose", "evaluate", "gate", failed="approve")
    assert version(settings, "1").status == "candidate"


@contextmanager
def scheduler_at_work() -> Iterator[None]:
    """Let Airflow's scheduler do what it does about humans who do not answer; ``dag.test()`` has none."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    scheduler, done = SchedulerJobRunner(Job()), threading.Event()

    def sweep() -> None:
        while not done.wait(0.3):
            scheduler.check_awaiting_input_timeouts()

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_without_an_evaluation_or_with_a_damaged_one_nothing_is_promoted(settings: Settings, train: Train) -> None:
    train()
    assert promote_twin() == states("choose", "evaluate", failed="gate")
    (save_evaluation(settings, "1") / "evaluation.json").write_text("{")
    assert promote_twin() == states("choose", "evaluate", failed="gate")
    assert version(settings, "1").status == "candidate"


def test_without_a_candidate_the_run_fails_at_once(settings: Settings, own: Gateway) -> None:
    assert promote_twin() == states(failed="choose")
    assert promote_twin("7") == states(failed="choose")


def test_a_version_that_gives_no_answer_leaves_production_as_it_is(
    settings: Settings, train: Train, vllm: ScriptedVllm, api: TestClient
) -> None:
    for production in (None, "1"):
        save_evaluation(settings, train(), production=production)
        with human(api, {"chosen_options": ["Approve"]}):
            found = promote_twin()
        vllm.script(text="!!!")
    assert found == states("choose", "evaluate", "gate", "approve", failed="promote")
    assert (version(settings, "1").status, version(settings, "2").status) == ("production", "candidate")


def test_an_approval_given_before_another_version_took_over_does_not_count(
    settings: Settings, train: Train, api: TestClient
) -> None:
    registry = Registry(settings.registry)
    save_evaluation(settings, train(), production=None)
    registry.accept(train())
    registry.promote("2")
    with human(api, {"chosen_options": ["Approve"]}):
        found = promote_twin("1")
    assert found == states("choose", "evaluate", "gate", "approve", failed="promote")
    assert version(settings, "2").status == "production"


def test_candidates_that_come_at_once_are_judged_one_after_the_other_the_oldest_first(
    settings: Settings, train: Train, api: TestClient
) -> None:
    by_hand, first, unevaluated, last = train(), train(), train(), train()
    save_evaluation(settings, first, perplexity_ratio=1.4)
    save_evaluation(settings, last, perplexity_ratio=1.4)
    tell(api, "twin_candidates", *({"version": version} for version in (unevaluated, first, last)))
    found = run_scheduled("promote_twin", mark_success_pattern="evaluate")
    assert [states["run", -1] for states in found] == ["success", "failed", "success"]
    assert [states["go_on", -1] for states in found] == ["success", "success", "skipped"]
    statuses = [version(settings, name).status for name in (by_hand, first, unevaluated, last)]
    assert statuses == ["candidate", "archived", "candidate", "archived"]
    # What failed is not tried again for ever, and what is of no event is somebody's own.
    tell(api, "twin_candidates", {"version": last})
    [states] = run_scheduled("promote_twin")
    assert set(states.values()) == {"skipped", "success"}
    assert states["choose", -1] == "skipped"
