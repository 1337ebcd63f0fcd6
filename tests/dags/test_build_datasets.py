"""build_datasets with ``dag.test()``: by hand, by what has changed, and when nobody is due."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.articles import fill
from tests.authors import ANA, BEN, tokenizer_folder, written
from tests.dags.conftest import run

from llmtwin.datasets import open_dataset
from llmtwin.settings import Settings, get_settings
from llmtwin.tracking import read_experiment

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("empty_stores")]


@pytest.fixture
def store(airflow_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose base model is as small as a tokenizer."""
    (tmp_path / "model").mkdir()
    changes: dict[str, Any] = {
        "base_model": str(tokenizer_folder(tmp_path / "model")),
        "dataset_extract_tokens": 96,
    }
    for name, value in changes.items():
        monkeypatch.setenv(f"LLMTWIN_{name.upper()}", str(value))
    get_settings.cache_clear()
    return airflow_settings.model_copy(update=changes)


def asset_extras(name: str) -> list[dict[str, Any]]:
    """What Airflow's UI shows with the events of an asset."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        asset = session.scalar(select(AssetModel).where(AssetModel.name == name))
        assert asset is not None
        return [event.extra for event in session.scalars(select(AssetEvent).where(AssetEvent.asset_id == asset.id))]


def test_build_datasets_builds_the_author_of_the_form_and_the_asset_names_the_version(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)] + [written(number, BEN) for number in range(12)])
    states = run("build_datasets", {"author": ANA.full_name, "seed": 5, "rag_share": 0.0})
    assert (states["build", 0], states["run", -1]) == ("success", "success")
    dataset = open_dataset(store, "ana-nunez")
    assert dataset.manifest["options"] | {"seed": 5, "rag_share": 0.0} == dataset.manifest["options"]
    extra = asset_extras("datasets")[-1]
    assert (extra["dataset"], extra["train"]) == (dataset.reference, len(dataset.rows("train")))
    assert read_experiment(store, extra["experiment"]).others["digest"] == dataset.digest


def test_build_datasets_by_hand_without_an_author_builds_each(store: Settings) -> None:
    fill(store, [written(number) for number in range(12)] + [written(number, BEN) for number in range(12)])
    states = run("build_datasets")
    assert (states["build", 0], states["build", 1], states["run", -1]) == ("success", "success", "success")
    assert [open_dataset(store, name).author for name in ("ana-nunez", "ben-okafor")] == [ANA.full_name, BEN.full_name]


def test_build_datasets_fails_at_once_where_a_retry_would_fail_too(store: Settings) -> None:
    fill(store, [written(1)])
    states = run("build_datasets", {"author": ANA.full_name})
    assert (states["build", 0], states["run", -1]) == ("failed", "failed")


def test_build_datasets_is_skipped_when_there_is_nobody_to_build(store: Settings) -> None:
    states = run("build_datasets")
    assert states["run", -1] == "success"
    assert {state for (task, _), state in states.items() if task == "build"} == {"skipped"}
