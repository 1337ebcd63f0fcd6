"""Runs beside each other: trainings and evaluations alike, from Comet or from archives of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmtwin.errors import EvaluationError
from llmtwin.evaluation.plots import curves
from llmtwin.evaluation.report import templates
from llmtwin.settings import Settings
from llmtwin.tracking import Experiment, read_experiment

# What many runs have in common and nobody compares: the ends of intervals, and counters.
_LEFT_OUT = ("/low", "/high")


@dataclass(frozen=True)
class Comparison:
    """Several experiments and what differs.

    Attributes:
        experiments: In the order asked for.
        parameters: By name, the value in each experiment; None where it has none. Only those that differ.
        metrics: By name, the last value in each experiment.
        intervals: By name, both ends in each experiment, of metrics that were logged with some.
    """

    experiments: list[Experiment]
    parameters: dict[str, list[str | None]]
    metrics: dict[str, list[float | None]]
    intervals: dict[str, list[tuple[float, float] | None]]


def compare(settings: Settings, runs: Sequence[str]) -> Comparison:
    """Return runs side by side.

    Args:
        settings: Where archives lie, and Comet's key.
        runs: Keys, beginnings of keys, names, or paths of archives; at least two different ones.

    Raises:
        EvaluationError: There are not two.
        TrackingError: One does not exist or cannot be read.
    """
    found = {experiment.key: experiment for experiment in (read_experiment(settings, run) for run in runs)}
    if len(found) < 2:
        raise EvaluationError("give two different runs or more: `llmtwin compare RUN RUN …`")
    experiments = list(found.values())
    names = sorted({name for one in experiments for name in one.metrics if not name.endswith(_LEFT_OUT)})
    return Comparison(
        experiments=experiments,
        parameters=_differing(experiments),
        metrics={name: [one.last(name) for one in experiments] for name in names},
        intervals={name: [_interval(one, name) for one in experiments] for name in names},
    )


def render_comparison(comparison: Comparison) -> str:
    """Return the comparison as one HTML file, with every metric that has a course as curves."""
    drawn = []
    for name in comparison.metrics:
        series = {
            f"{number} {one.name}": [
                (float(index if point.step is None else point.step), point.value)
                for index, point in enumerate(one.metrics.get(name, ()))
            ]
            for number, one in enumerate(comparison.experiments)
        }
        plot = curves(series)
        if plot is not None:
            drawn.append((name, plot))
    return templates().get_template("comparison.html.j2").render(it=comparison, drawn=drawn)


def _differing(experiments: Sequence[Experiment]) -> dict[str, list[str | None]]:
    names = sorted({name for one in experiments for name in one.parameters})
    values = {name: [one.parameters.get(name) for one in experiments] for name in names}
    return {name: found for name, found in values.items() if len(set(found)) > 1}


def _interval(experiment: Experiment, name: str) -> tuple[float, float] | None:
    low, high = experiment.last(f"{name}/low"), experiment.last(f"{name}/high")
    return None if low is None or high is None else (low, high)
