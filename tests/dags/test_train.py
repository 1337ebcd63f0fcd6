"""train_twin from a dataset to a candidate, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.dags.conftest import environment_of, run
from tests.integration.training.conftest import FP32, SMALL, settings, tiny_llama

from llmtwin import training
from llmtwin.registry import Registry
from llmtwin.settings import Settings, get_settings
from llmtwin.training import Status

__all__ = ["settings", "tiny_llama"]


@pytest.fixture
def installed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The same settings for the DAG."""
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield settings
    get_settings.cache_clear()


def candidates() -> list[dict[str, Any]]:
    """What promote_twin is told of candidates."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    wanted = select(AssetEvent).join(AssetModel, AssetEvent.asset_id == AssetModel.id)
    with create_session() as session:
        return [event.extra for event in session.scalars(wanted.where(AssetModel.name == "twin_candidates"))]


def test_train_twin_registers_a_candidate(installed: Settings) -> None:
    changes = {**SMALL, **FP32, "base_model": installed.base_model, "max_steps": 2}
    states = run("train_twin", {"dataset": "Ana Núñez", "recipe": "smoke", "changes": changes})
    assert set(states.values()) == {"success"}
    [version] = Registry(installed.registry).versions()
    assert version.lineage is not None
    trained = training.open_run(installed, str(version.lineage.run_id))
    assert (trained.status, trained.dataset, trained.version) == (
        Status.FINISHED,
        "ana-nunez@0123456789ab",
        version.version,
    )
    [extra] = [extra for extra in candidates() if extra.get("run_id") == trained.run_id]
    assert extra["version"] == version.version
    assert extra["eval_loss"] == trained.metrics["eval_loss"]


@pytest.mark.parametrize(
    "conf",
    [
        {"dataset": "nobody"},
        {},
        {"dataset": "ana-nunez", "recipe": "smke"},
        {"dataset": "ana-nunez", "changes": {"learning_rte": 1}},
        {"dataset": "ana-nunez", "recipe": "llama-8b", "changes": {}},
    ],
    ids=["no such dataset", "no dataset", "no such recipe", "no such knob", "not what is served"],
)
def test_train_twin_trains_nothing_that_could_not_be_served(installed: Settings, conf: dict[str, Any]) -> None:
    before = training.runs(installed)
    states = run("train_twin", {"changes": {"base_model": installed.base_model}, **conf})
    assert states["prepare", -1] == "failed"
    assert states["run", -1] == "failed"
    assert training.runs(installed) == before
