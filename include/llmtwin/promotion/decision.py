"""What a human is shown before deciding: the verdict, the figures that matter, where the candidate came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmtwin.errors import EvaluationError
from llmtwin.evaluation.result import Evaluation, read_evaluation
from llmtwin.promotion.gate import Outcome, Verdict, gate, read_thresholds
from llmtwin.registry import Registry, Version
from llmtwin.settings import Settings

MODELS = ("candidate", "production", "base", "control", "author")
# By the name behind the model's; the report has all.
KEY_FIGURES = {
    "perplexity": "perplexity on unseen text, lower is better",
    "delta": "Cosine Delta to the author's style, lower is closer",  # with other authors' text, see `_meaning`
    "authorship": "probability that the author wrote it",
    "grounding": "share of words that stand in the passages",
    "repetition": "share of repeated four-word runs",
    "longest_copy": "words copied in a row from training text",
}
OWN_DELTA = "Burrows's Delta to the author's style, in units of the author's own variation, lower is closer"
COMPARISONS = {
    "perplexity_ratio": "perplexity, candidate ÷ base",
    "production_ratio": "perplexity, candidate ÷ production",
    "control_ratio": "perplexity, candidate ÷ another author's twin",
    "delta_difference": "Delta, candidate − base",
    "judge/style_wins": "judge: style, share won against base",
    "judge/accuracy_wins": "judge: accuracy, share won against base",
}


@dataclass(frozen=True)
class Decision:
    """A candidate as it is put before a human.

    Attributes:
        version: The candidate.
        evaluation: What was measured of it.
        verdict: What the gate says.
    """

    version: Version
    evaluation: Evaluation
    verdict: Verdict


def prepare_decision(version: str, settings: Settings) -> Decision:
    """Judge a version by its evaluation.

    Raises:
        RegistryError: There is no such version.
        EvaluationError: It was not evaluated, the evaluation is damaged, or is of other weights under the same name.
        SettingsError: The gate's file cannot be used.
    """
    found = Registry(settings.registry).get(version)
    evaluation = read_evaluation(settings, version)
    measured = {card.identity for card in evaluation.models if card.role == "candidate"}
    if measured != {found.digest}:
        raise EvaluationError(
            f"what was evaluated as version {version} had other weights: run `llmtwin evaluate {version} --again`"
        )
    return Decision(found, evaluation, gate(evaluation, read_thresholds(settings)))


def rejection(reasons: Sequence[str], answer: Mapping[str, Any] | None) -> str:
    """Return why a version is rejected, in one line.

    Args:
        reasons: The gate's; none when it passed.
        answer: The human's, as Airflow's approval operator returns it: ``params_input`` and ``responded_by_user``.
    """
    if reasons or answer is None:
        return f"the gate: {'; '.join(reasons)}"
    user = (answer.get("responded_by_user") or {}).get("name") or "somebody"
    why = str((answer.get("params_input") or {}).get("reason") or "").strip() or "no reason given"
    return f"{user}: {why}"


def figures(evaluation: Evaluation) -> tuple[list[str], list[list[str]]]:
    """Return the key figures as a table: the models that were measured, and for each figure a row of its words."""
    models = [model for model in MODELS if any(name.startswith(f"{model}/") for name in evaluation.metrics)]
    rows = [
        [_meaning(evaluation, name), *(_number(evaluation, f"{model}/{name}") for model in models)]
        for name in KEY_FIGURES
        if f"candidate/{name}" in evaluation.metrics
    ]
    return models, rows


def comparisons(evaluation: Evaluation) -> list[list[str]]:
    """Return what was compared on the same texts, as rows of meaning and number."""
    return [[meaning, _number(evaluation, name)] for name, meaning in COMPARISONS.items() if name in evaluation.metrics]


def not_measured(evaluation: Evaluation) -> list[str]:
    """Return what could not be measured, and why."""
    return [f"{name.rstrip('/')}: {reason}" for name, reason in evaluation.not_measured.items()]


def markdown(decision: Decision, report: str) -> str:
    """Return the decision as a page for Airflow's UI.

    Args:
        decision: What to decide.
        report: The URL of the full report.
    """
    version, evaluation, verdict = decision.version, decision.evaluation, decision.verdict
    models, rows = figures(evaluation)
    before = f"version {evaluation.production}" if evaluation.production else "the base model"
    passed = [finding.words for finding in verdict.findings if finding.outcome is Outcome.PASSED]
    parts = [
        f"**{version.served_name}** would take over from {before}. [Open the report]({report}): samples side by side, "
        "plots, all figures.",
        _table(["figure (95 % interval)", *models], rows),
        _table(["compared on the same texts", "value"], comparisons(evaluation)),
        _list("The gate rejects it:", verdict.reasons) if verdict.reasons else _list("The gate lets it pass:", passed),
        _list("Not measured:", not_measured(evaluation)),
        _list("To be kept in mind:", evaluation.notes),
        _list("Where it comes from:", _lineage(decision)),
    ]
    return "\n\n".join(part for part in parts if part)


def _lineage(decision: Decision) -> list[str]:
    lineage, evaluation = decision.version.lineage, decision.evaluation
    known = {"author": evaluation.author, "evaluated on": evaluation.dataset}
    if lineage:
        known |= {
            "trained on": lineage.dataset or "",
            "recipe": lineage.recipe or "",
            "run": lineage.run_id or "",
            "experiment": lineage.experiment or "",
            "code": lineage.code_revision or "",
        }
    return [f"{name}: {value}" for name, value in known.items() if value]


def _meaning(evaluation: Evaluation, name: str) -> str:
    own = name == "delta" and evaluation.provenance.delta == "burrows"
    return OWN_DELTA if own else KEY_FIGURES[name]


def _number(evaluation: Evaluation, name: str) -> str:
    value, ends = evaluation.metrics.get(name), evaluation.intervals.get(name)
    if value is None:
        return "–"
    return f"{value:.3g}" + (f" ({ends[0]:.3g} to {ends[1]:.3g})" if ends else "")


def _table(heading: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(_plain(cell) for cell in line)} |" for line in lines)


def _list(heading: str, items: list[str]) -> str:
    return "\n".join([heading, "", *(f"- {_plain(item)}" for item in items)]) if items else ""


def _plain(text: str) -> str:
    """Return text that means itself in Markdown."""
    for mark in "\\`*_{}[]<>#|!":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")
