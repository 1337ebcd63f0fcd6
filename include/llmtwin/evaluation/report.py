"""The report of an evaluation: one HTML file, for a human who decides.

Nothing in it comes from elsewhere and nothing in it runs. All text is escaped: what a model, a document or a judge says
stays text.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from llmtwin.evaluation.intervals import Estimate
from llmtwin.evaluation.plots import Forest, Pairs, forest, pairs
from llmtwin.evaluation.result import Evaluation

if TYPE_CHECKING:
    from jinja2 import Environment

WHO = {
    "candidate": "candidate",
    "production": "in production",
    "base": "base model",
    "control": "another author’s twin",
    "author": "the author",
    "others": "other authors",
}
_SHOWN = 8


def render_report(evaluation: Evaluation) -> str:
    """Return the report."""
    roles = [card.role for card in evaluation.models]
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            it=evaluation,
            found=evaluation.estimates,
            roles=roles,
            who=WHO,
            tiles=_tiles(evaluation),
            perplexities=_forest(evaluation, "perplexity", roles, log=True),
            documents=_pairs(evaluation, roles),
            delta=_forest(evaluation, "delta", ["author", *roles, "others"]),
            burrows=_forest(evaluation, "burrows_delta", ["author", *roles, "others"]),
            authorship=_forest(evaluation, "authorship", ["author", *roles, "others"], reference=0.5),
            grounding=_forest(evaluation, "grounding", roles),
            plain=[sample for sample in evaluation.samples if sample.kind == "instruction"][:_SHOWN],
            grounded=[sample for sample in evaluation.samples if sample.kind == "grounded"][:_SHOWN],
        )
    )


@cache
def templates() -> Environment:
    """Return the environment of all reports' templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("llmtwin.evaluation", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = figure
    environment.filters["between"] = between
    return environment


def figure(value: float) -> str:
    """Return a number with three digits that say something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def between(found: Estimate) -> str:
    """Return an interval in words; empty where there is none."""
    return "" if found.interval is None else f"{figure(found.interval[0])} to {figure(found.interval[1])}"


def _tiles(evaluation: Evaluation) -> list[tuple[str, Estimate, str, str]]:
    """Return what matters most: heading, number, how to read it, and whether it is good, bad or open."""
    found = evaluation.estimates
    tiles = []
    for name, heading, reading in (
        ("perplexity_ratio", "Perplexity ÷ base model’s", "below 1: knows the author’s unseen text better"),
        ("production_ratio", "Perplexity ÷ production’s", "below 1: better than what is served now"),
        ("control_ratio", "Perplexity ÷ another author’s twin’s", "below 1: it is the voice, not just the subject"),
        ("control_ratio_reverse", "The reverse, on the other author’s text", "below 1: there the other twin is better"),
        ("delta_difference", "Style distance − base model’s", "below 0: closer to how the author writes"),
    ):
        if name in found:
            bound = 0.0 if name.endswith("difference") else 1.0
            tiles.append((heading, found[name], reading, _verdict(found[name], bound)))
    return tiles


def _verdict(found: Estimate, bound: float) -> str:
    low, high = found.interval or (found.value, found.value)
    if found.interval is None:
        return "open"
    return "good" if high < bound else "bad" if low > bound else "open"


def _forest(
    evaluation: Evaluation, name: str, order: list[str], *, log: bool = False, reference: float | None = None
) -> Forest | None:
    rows = [
        (WHO[one], one, evaluation.estimates[f"{one}/{name}"])
        for one in order
        if f"{one}/{name}" in evaluation.estimates
    ]
    return forest(rows, log=log, reference=reference) if rows else None


def _pairs(evaluation: Evaluation, roles: list[str]) -> Pairs | None:
    rows = [
        (one.title, {role: one.perplexity[role] for role in roles if role in one.perplexity})
        for one in sorted(evaluation.documents, key=lambda one: one.perplexity["candidate"])
    ]
    return pairs(rows) if rows else None
