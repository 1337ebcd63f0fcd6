"""train_twin from a dataset to a candidate, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.dags.conftest import environment_of, run, run_scheduled, tell
from tests.integration.training.conftest import FP32, SMALL, settings, tiny_llama
from tests.tiny_llama import save_dataset

from llmtwin import training
from llmtwin.registry import Registry
from llmtwin.settings import Settings, get_settings
from llmtwin.training import Status
from llmtwin.training.recipe import write_recipe

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

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
    assert {task for (task, _), state in states.items() if state != "success"} == {"go_on"}
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


def test_datasets_built_at_once_are_trained_on_one_after_the_other_the_oldest_first(
    installed: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: TestClient
) -> None:
    from airflow.sdk import Param

    from llmtwin_airflow import forms

    own = installed.model_copy(update={"data_dir": tmp_path, "train_on_new_dataset": True})
    recipe = training.read_recipe("smoke", {**SMALL, **FP32, "base_model": own.base_model, "max_steps": 1})
    (tmp_path / "small.yaml").write_bytes(write_recipe(recipe))
    monkeypatch.setitem(forms.TRAIN, "recipe", Param(str(tmp_path / "small.yaml"), type="string"))
    for name, value in environment_of(own).items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    built = [saved(own, name) for name in ("zoe", "empty", "ana-nunez", "ben")]
    trained = training.new_run(recipe, own, dataset=built[2], run_id="by-hand")
    tell(api, "datasets", *({"dataset": dataset} for dataset in built))
    found = run_scheduled("train_twin")
    assert [states["run", -1] for states in found] == ["success", "success"]
    assert [states["go_on", -1] for states in found] == ["success", "skipped"]
    assert [one.dataset for one in training.runs(own)] == [trained.dataset, built[0], built[3]]
    assert [version.lineage.dataset for version in Registry(own.registry).versions() if version.lineage] == [
        built[0],
        built[3],
    ]
    # Nothing to train on: that is said, and holds up nobody.
    tell(api, "datasets", {"dataset": built[0]})
    [states] = run_scheduled("train_twin")
    assert (states["prepare", -1], states["go_on", -1]) == ("failed", "upstream_failed")
    assert len(training.runs(own)) == 3


def saved(settings: Settings, name: str) -> str:
    """Save a dataset as if it was built now; return its reference. The one called empty has nothing to train on."""
    folder = save_dataset(settings.datasets, name=name, train=0 if name == "empty" else 24)
    times = [{"version": folder.name, "built_at": datetime.now(UTC).isoformat()}]
    (folder.parent / "builds.json").write_text(json.dumps(times))
    return f"{name}@{folder.name}"
