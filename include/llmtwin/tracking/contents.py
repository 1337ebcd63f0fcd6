"""What was recorded in an experiment, wherever it lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from llmtwin.errors import TrackingError

# What Comet's client adds of its own: nobody logged it.
OWN_PARAMETERS = {"curr_step", "curr_epoch"}
OWN_METRICS = {"process duration"}
_OWN_OTHERS = {"offline_experiment", "hasNestedParams", "Name"}


def is_logged(other: str) -> bool:
    """Tell whether somebody noted this, and not Comet's client: ``sys.…`` is what it found in the process."""
    return other not in _OWN_OTHERS and not other.startswith("sys.")


@dataclass(frozen=True)
class Point:
    """One value of a metric.

    Attributes:
        step: When it was measured, in steps; None for what has none.
        value: What was measured.
        at: When it was logged.
    """

    step: int | None
    value: float
    at: datetime


@dataclass(frozen=True)
class Experiment:
    """An experiment as it was recorded.

    Attributes:
        key: Comet's, the same offline and online.
        name: What people call it.
        project: Comet's project.
        tags: To find it by.
        started_at: When it began.
        parameters: Hyper-parameters by name, as text.
        metrics: Every metric's values by name, in the order in which they were logged.
        others: What else was noted.
        assets: A function that reads it, by the asset's name.
        source: The archive's path or Comet's URL.
    """

    key: str
    name: str
    project: str
    tags: tuple[str, ...]
    started_at: datetime
    parameters: dict[str, str]
    metrics: dict[str, tuple[Point, ...]]
    others: dict[str, Any]
    assets: dict[str, Callable[[], bytes]]
    source: str

    def last(self, metric: str) -> float | None:
        """Return the last value of a metric; None where it was never logged."""
        points = self.metrics.get(metric)
        return points[-1].value if points else None

    def read(self, asset: str) -> bytes:
        """Return the content of an asset.

        Raises:
            TrackingError: The experiment has none of this name.
        """
        if asset not in self.assets:
            known = ", ".join(sorted(self.assets)) or "none"
            raise TrackingError(f"experiment {self.name} has no asset {asset!r}: {known}")
        return self.assets[asset]()
