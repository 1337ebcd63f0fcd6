"""Experiments that lie at Comet, and what happens while Comet does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.scripted_comet import KEY, scripted_comet

from llmtwin.errors import TrackingError
from llmtwin.settings import Settings
from llmtwin.tracking import Experiment, experiment, experiments, is_online, read_experiment


@pytest.fixture
def with_key(tmp_path: Path) -> Settings:
    """Settings with a key."""
    return Settings(
        data_dir=tmp_path,
        comet_dir=None,
        comet_api_key=SecretStr("0123456789012345678901234"),
        comet_workspace=None,
        comet_project="voices",
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is asked of a Comet that holds one experiment."""
    with scripted_comet() as (url, asked):
        monkeypatch.setenv("COMET_URL_OVERRIDE", url)
        yield asked


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Comet that cannot be reached."""
    monkeypatch.setenv("COMET_URL_OVERRIDE", "http://127.0.0.1:9/clientlib/")
    for retries in ("COMET_HTTP_SESSION_RETRY_TOTAL", "COMET_GET_OR_ADD_EXPERIMENT_RETRY_TOTAL"):
        monkeypatch.setenv(retries, "0")


def assert_is_the_scripted_one(found: Experiment) -> None:
    assert (found.key, found.name, found.project, found.tags) == (KEY, "first", "voices", ("ana", "smoke"))
    assert found.parameters == {"learning_rate": "0.001"}
    assert found.others == {"dataset": "ana@0123"}
    assert [(point.step, point.value) for point in found.metrics["loss"]] == [(1, 3.0), (2, 2.5)]
    assert found.read("report.html") == b"<p>report</p>"


def test_an_experiment_at_comet_reads_like_one_in_an_archive(with_key: Settings, asked: list[str]) -> None:
    assert_is_the_scripted_one(read_experiment(with_key, KEY))
    assert "/api/rest/v2/experiments" not in asked  # not all of them for one


def test_experiments_of_both_places_are_listed_together(with_key: Settings, asked: list[str]) -> None:
    with experiment(with_key.model_copy(update={"comet_api_key": None}), "second"):
        pass
    first, second = experiments(with_key)
    assert_is_the_scripted_one(first)
    assert second.name == "second"
    assert read_experiment(with_key, "first").key == KEY
    with pytest.raises(TrackingError, match=r"no experiment 'third' in .* or at Comet"):
        read_experiment(with_key, "third")


def test_an_experiment_is_not_lost_while_comet_does_not_answer(with_key: Settings, nowhere: None) -> None:
    with experiment(with_key, "kept") as comet:
        assert not is_online(comet)
        comet.log_metrics({"loss": 2.5}, step=1)
    assert read_experiment(with_key, comet.get_key()).last("loss") == 2.5
    with pytest.raises(TrackingError, match="Comet does not answer, or refuses the key"):
        experiments(with_key)
