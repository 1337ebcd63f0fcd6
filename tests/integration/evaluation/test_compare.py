"""`compare` over real offline archives, and the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from tests.integration.evaluation.conftest import Lab
from typer.testing import CliRunner

from llmtwin.cli import app
from llmtwin.errors import EvaluationError, RegistryError, TrackingError
from llmtwin.evaluation.comparison import compare, render_comparison
from llmtwin.settings import Settings, get_settings, settings_environment
from llmtwin.tracking import experiment

Llmtwin = Callable[..., Result]


def record(settings: Settings, name: str, losses: list[float], **parameters: object) -> str:
    """Record a training; return its key."""
    with experiment(settings, name, ["training"]) as comet:
        comet.log_parameters({"seed": 0} | parameters)
        for step, loss in enumerate(losses):
            comet.log_metric("train/loss", loss, step=step)
        comet.log_metric("perplexity_ratio", losses[-1])
        comet.log_metrics({"perplexity_ratio/low": losses[-1] - 0.1, "perplexity_ratio/high": losses[-1] + 0.1})
        return str(comet.get_key())


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Settings, str, str]:
    """Two trainings that differ in one parameter."""
    settings = Settings(home=tmp_path, data_dir=tmp_path)
    first = record(settings, "smoke <b>one</b>", [3.0, 2.0, 1.0], lora_r=8)
    return settings, first, record(settings, "smoke two", [3.0, 2.5, 2.25], lora_r=16)


def test_runs_stand_beside_each_other(runs: tuple[Settings, str, str]) -> None:
    settings, first, second = runs
    found = compare(settings, [first[:8], "smoke two"])
    assert found.parameters == {"lora_r": ["8", "16"]}
    assert found.metrics["train/loss"] == [1.0, 2.25]
    assert found.intervals["perplexity_ratio"] == [pytest.approx((0.9, 1.1)), pytest.approx((2.15, 2.35))]
    assert "perplexity_ratio/low" not in found.metrics
    assert [one.key for one in found.experiments] == [first, second]


def test_the_page_shows_curves_and_text_as_text(runs: tuple[Settings, str, str]) -> None:
    page = render_comparison(compare(*_split(runs)))
    assert "train/loss, by step" in page
    assert page.count("<polyline") == 2
    assert "perplexity_ratio, by step" not in page  # one value is no course
    assert "smoke &lt;b&gt;one&lt;/b&gt;" in page
    assert "<b>" not in page


def test_one_run_is_nothing_to_compare(runs: tuple[Settings, str, str]) -> None:
    settings, first, _ = runs
    with pytest.raises(EvaluationError, match="two different runs"):
        compare(settings, [first, first[:9]])
    with pytest.raises(TrackingError, match="no experiment 'nothing'"):
        compare(settings, [first, "nothing"])


@pytest.fixture
def llmtwin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Settings], Llmtwin]]:
    """The command line with a test's settings."""

    def with_settings(settings: Settings) -> Llmtwin:
        for name, value in settings_environment(settings).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("COLUMNS", "200")
        get_settings.cache_clear()
        return lambda *arguments: CliRunner().invoke(app, arguments)

    yield with_settings
    get_settings.cache_clear()


def test_the_command_shows_a_table_and_writes_the_page(
    runs: tuple[Settings, str, str], llmtwin: Callable[[Settings], Llmtwin], tmp_path: Path
) -> None:
    settings, first, second = runs
    result = llmtwin(settings)("compare", first, second, "--html", str(tmp_path / "page.html"))
    assert result.exit_code == 0, result.output
    for words in ("smoke <b>one</b>", "smoke two", "train/loss", "1.00", "2.25", "lora_r"):
        assert words in result.output
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_the_command_evaluates_and_says_where_the_report_is(lab: Lab, llmtwin: Callable[[Settings], Llmtwin]) -> None:
    result = llmtwin(lab.settings)("evaluate", "1", "--texts", "4", "--answers", "4")
    assert result.exit_code == 0, result.output
    for words in ("twin@1 as Ana Núñez", "perplexity_ratio", "0.37", "report.html", "judge was not measured"):
        assert words in result.output


def test_without_a_version_the_newest_candidate_is_evaluated(lab: Lab, llmtwin: Callable[[Settings], Llmtwin]) -> None:
    arguments = ("evaluate", "--texts", "4", "--answers", "4")
    for newest in ("2", "1"):
        result = llmtwin(lab.settings)(*arguments)
        assert result.exit_code == 0, result.output
        assert f"twin@{newest} as " in result.output
        lab.registry.archive(newest, "it brags")
    refused = llmtwin(lab.settings)(*arguments)
    assert isinstance(refused.exception, RegistryError)
    assert "there is no candidate in the registry" in str(refused.exception)


def _split(runs: tuple[Settings, str, str]) -> tuple[Settings, list[str]]:
    return runs[0], list(runs[1:])
