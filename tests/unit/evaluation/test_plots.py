import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtwin.evaluation.intervals import Estimate
from llmtwin.evaluation.plots import curves, forest, pairs


def test_marks_stand_in_order_within_the_axis() -> None:
    rows = [("a", "base", Estimate(value=10.0, low=8.0, high=12.0, documents=4)), ("b", "candidate", number(5.0))]
    plot = forest(rows, log=True, reference=20.0)
    first, second = plot.marks
    assert first.low is not None
    assert first.high is not None
    assert plot.left < second.x < first.low < first.x < first.high < (plot.reference or 0) < plot.right
    assert second.low is None
    assert second.y > first.y
    assert [float(tick.label) for tick in plot.ticks] == sorted(float(tick.label) for tick in plot.ticks)


def test_a_logarithmic_axis_shows_equal_ratios_equally_far_apart() -> None:
    xs = [mark.x for mark in forest([(str(v), "base", number(v)) for v in (1.0, 2.0, 4.0)], log=True).marks]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])


@given(st.lists(st.one_of(st.floats(1e-9, 1e9), st.floats(-1e6, 1e6)), min_size=1, max_size=6), st.booleans())
def test_whatever_the_numbers_they_are_drawn_within_the_picture(values: list[float], log: bool) -> None:
    plot = forest([(str(value), "base", number(value)) for value in values], log=log)
    assert all(plot.left <= mark.x <= plot.right for mark in plot.marks)
    assert all(plot.left - 1 <= tick.at <= plot.right + 1 for tick in plot.ticks)
    assert len(plot.ticks) <= 12


def test_each_document_is_a_row() -> None:
    plot = pairs([("one", {"candidate": 10.0, "base": 20.0}), ("two", {"candidate": 12.0, "base": 18.0})])
    assert [title for title, _, _ in plot.rows] == ["one", "two"]
    assert [mark.who for mark in plot.rows[0][2]] == ["candidate", "base"]


def test_a_course_needs_two_points() -> None:
    assert curves({"a": [(1.0, 2.0)]}) is None
    plot = curves({"a": [(1.0, 4.0), (2.0, 3.0), (4.0, 1.0)], "alone": [(1.0, 1.0)]})
    assert plot is not None
    assert [name for name, *_ in plot.lines] == ["a"]
    ys = [float(point.split(",")[1]) for point in plot.lines[0][2].split()]
    assert ys == sorted(ys)  # falling values go down, which is up in SVG's numbers


def number(value: float) -> Estimate:
    return Estimate(value=value, documents=1)
