"""Where the marks of a report's drawings stand. The template draws them, so that style and colours are in one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llmtwin.evaluation.intervals import Estimate

# Of every drawing, in its own units; the page scales it.
WIDTH = 760
_LEFT, _RIGHT = 150, 70
_ROW = 30
_TOP = 12


@dataclass(frozen=True)
class Tick:
    """A line of the grid.

    Attributes:
        at: Its position.
        label: What it says.
    """

    at: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A number as a point with its interval as a line.

    Attributes:
        label: Beside it.
        who: The model or writer, which decides its colour.
        x: Of the point.
        y: Of the row.
        low: Where the line begins; None without an interval.
        high: Where it ends.
        value: The number.
    """

    label: str
    who: str
    x: float
    y: float
    low: float | None
    high: float | None
    value: float


@dataclass(frozen=True)
class Forest:
    """Numbers below each other on one axis, as in a forest plot."""

    marks: list[Mark]
    ticks: list[Tick]
    reference: float | None
    height: float
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    width: float = WIDTH


@dataclass(frozen=True)
class Pairs:
    """For each document a line between two models' numbers."""

    rows: list[tuple[str, float, list[Mark]]]
    ticks: list[Tick]
    height: float
    left: float
    right: float = WIDTH - 20
    width: float = WIDTH


@dataclass(frozen=True)
class Curves:
    """Series over steps.

    Attributes:
        lines: Name, number of its colour, the points of a polyline, and where the last one is.
        across: Grid of steps.
        up: Grid of values.
    """

    lines: list[tuple[str, int, str, tuple[float, float]]]
    across: list[Tick]
    up: list[Tick]
    left: float
    right: float
    top: float
    bottom: float
    height: float
    width: float = WIDTH


def forest(rows: Sequence[tuple[str, str, Estimate]], *, log: bool = False, reference: float | None = None) -> Forest:
    """Return a forest plot.

    Args:
        rows: Label, who, and number; at least one.
        log: Whether equal ratios are equally far apart.
        reference: A value to draw a line at.
    """
    ends = [end for _, _, found in rows for end in (found.value, *(found.interval or ()))]
    ends += [] if reference is None else [reference]
    scale, ticks = _axis(ends, _LEFT, WIDTH - _RIGHT, log)
    marks = [
        Mark(
            label=label,
            who=who,
            x=scale(found.value),
            y=_TOP + _ROW * (number + 0.5),
            low=None if found.interval is None else scale(found.interval[0]),
            high=None if found.interval is None else scale(found.interval[1]),
            value=found.value,
        )
        for number, (label, who, found) in enumerate(rows)
    ]
    line = None if reference is None else scale(reference)
    return Forest(marks, ticks, line, _TOP + _ROW * len(rows) + 26)


def pairs(rows: Sequence[tuple[str, Mapping[str, float]]]) -> Pairs:
    """Return a plot of each document's number by model, on a logarithmic axis; at least one row."""
    left = 280
    scale, ticks = _axis([value for _, found in rows for value in found.values()], left, WIDTH - 20, log=True)
    drawn = []
    for number, (title, found) in enumerate(rows):
        y = _TOP + 22 * (number + 0.5)
        marks = [Mark(who, who, scale(value), y, None, None, value) for who, value in found.items()]
        drawn.append((title, y, marks))
    return Pairs(drawn, ticks, _TOP + 22 * len(rows) + 26, left)


def curves(series: Mapping[str, Sequence[tuple[float, float]]]) -> Curves | None:
    """Return series as lines, on a linear axis; None where there are no two points.

    Args:
        series: By name, pairs of step and value, in order.
    """
    shown = {name: points for name, points in series.items() if len(points) > 1}
    if not shown:
        return None
    left, right, top, bottom = 56.0, WIDTH - 20.0, 12.0, 250.0
    steps = [step for points in shown.values() for step, _ in points]
    values = [value for points in shown.values() for _, value in points]
    across, columns = _axis(steps, left, right, log=False, margin=0.0)
    up, lines = _axis(values, bottom, top, log=False)
    drawn = [
        (
            name,
            number,
            " ".join(f"{across(step):.1f},{up(value):.1f}" for step, value in points),
            (across(points[-1][0]), up(points[-1][1])),
        )
        for number, (name, points) in enumerate(shown.items())
    ]
    return Curves(drawn, columns, lines, left, right, top, bottom, bottom + 30)


def _axis(
    values: Sequence[float], start: float, end: float, log: bool, margin: float = 0.06
) -> tuple[Callable[[float], float], list[Tick]]:
    """Return what places a number, and the grid's lines."""
    low, high = min(values), max(values)
    log = log and low > 0
    forward: Callable[[float], float] = math.log if log else float
    first, last = forward(low), forward(high)
    if last - first <= 1e-9 * max(abs(first), abs(last)):  # the same, as far as a picture can tell
        reach = 0.2 * abs(last) or 1.0
        first, last = first - reach, last + reach
    reach = last - first
    first, last = first - reach * margin, last + reach * margin

    def place(value: float) -> float:
        return start + (forward(value) - first) / (last - first) * (end - start)

    backward: Callable[[float], float] = math.exp if log else float
    ends = backward(first), backward(last)
    values = _decades(*ends) if log and ends[1] > 100 * ends[0] else _round(*ends)
    return place, [Tick(place(value), f"{value:g}") for value in values]


def _round(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers from ``low`` to ``high``."""
    power = 10.0 ** math.floor(math.log10((high - low) / about))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if (high - low) / (power * factor) <= about + 1)
    first = math.ceil(low / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float, about: int = 5) -> list[float]:
    """Return powers of ten from ``low`` to ``high``."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    return [10.0**power for power in range(first, last + 1, math.ceil((last - first + 1) / about))]
