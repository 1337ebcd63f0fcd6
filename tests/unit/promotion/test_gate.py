"""The gate, on figures alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmtwin.errors import SettingsError
from llmtwin.promotion import Outcome, Thresholds, Verdict, gate, read_thresholds
from llmtwin.promotion.gate import DEFAULT
from llmtwin.settings import Settings

GOOD = {
    "candidate/perplexity": 15.0,
    "base/perplexity": 25.0,
    "production/perplexity": 16.0,
    "perplexity_ratio": 0.6,
    "production_ratio": 0.94,
    "control_ratio": 0.8,
    "delta_difference": -0.5,
    "production_delta_difference": -0.05,
    "candidate/repetition": 0.1,
    "base/repetition": 0.12,
    "candidate/grounding": 0.4,
    "base/grounding": 0.45,
}


@dataclass
class Figures:
    """An evaluation, as far as the gate reads it."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    production: str | None = "1"
    not_measured: dict[str, str] = field(default_factory=dict)


def judged(metrics: dict[str, float], **more: Any) -> Verdict:
    sure = {"intervals": {name: (value, value) for name, value in metrics.items()}}
    return gate(Figures(metrics, **sure | more), read_thresholds(Settings()))


def by_rule(figures: Figures, **rule: Any) -> Verdict:
    defaults = {"doubt": "pass", "required": True, "because": "it must be good"}
    return gate(figures, Thresholds.model_validate({"rules": [defaults | rule]}))


def test_a_candidate_that_is_better_everywhere_passes() -> None:
    verdict = judged(GOOD)
    assert verdict.passed
    assert verdict.reasons == []
    assert [finding.outcome for finding in verdict.findings] == [Outcome.PASSED] * len(verdict.findings)


def test_all_reasons_are_given_in_words_with_their_figures() -> None:
    verdict = judged(GOOD | {"perplexity_ratio": 1.2, "candidate/repetition": 0.3})
    assert not verdict.passed
    assert verdict.reasons == [
        "it must know the author's voice better than the base model does: perplexity_ratio is 1.2, at most 1 is wanted",
        "its answers must not go in circles: "
        "candidate/repetition is 0.3, at most 2 times base/repetition, 0.24, is wanted",
    ]


@pytest.mark.parametrize(
    ("worse", "than"),
    [
        ({"production_ratio": 1.03}, "production"),
        ({"perplexity_ratio": 1.01}, "base"),
        ({"control_ratio": 1.1}, "control"),
        ({"delta_difference": 0.1}, "base"),
        ({"production_delta_difference": 0.1}, "production"),
        ({"candidate/grounding": 0.2}, "base"),
    ],
)
def test_what_is_worse_than_production_base_or_control_is_rejected(worse: dict[str, float], than: str) -> None:
    verdict = judged(GOOD | worse)
    assert not verdict.passed
    assert than in verdict.reasons[0]


def test_as_good_as_production_is_good_enough() -> None:
    assert judged(GOOD | {"production_ratio": 1.0, "production_delta_difference": 0.0}).passed


def test_while_nothing_is_in_production_its_rules_do_not_apply() -> None:
    first = {name: value for name, value in GOOD.items() if "production" not in name}
    assert judged(first, production=None).passed
    assert not judged(first, production="1").passed


def test_where_production_could_not_be_measured_its_rules_do_not_apply_and_say_why() -> None:
    metrics = {name: value for name, value in GOOD.items() if "production" not in name}
    verdict = judged(metrics, production="1", not_measured={"production/": "it was trained on another base model"})
    assert verdict.passed
    skipped = [finding.words for finding in verdict.findings if finding.outcome is Outcome.NOT_APPLICABLE]
    assert len(skipped) == 2
    assert all(words.endswith(": it was trained on another base model") for words in skipped)


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_figure_that_was_not_measured_is_a_reason_where_the_rule_requires_it(value: float | None) -> None:
    metrics = {name: found for name, found in (GOOD | {"perplexity_ratio": value}).items() if found is not None}
    [reason] = judged(metrics).reasons
    assert reason.endswith("perplexity_ratio was not measured")
    figures = Figures(metrics)
    rule = {"figure": "perplexity_ratio", "at_most": 1.0}
    assert not by_rule(figures, **rule, required=True).passed
    assert by_rule(figures, **rule, required=False).passed
    assert not by_rule(figures, figure="candidate/delta", at_most="perplexity_ratio").passed


def test_why_a_figure_was_not_measured_is_said() -> None:
    metrics = {name: value for name, value in GOOD.items() if name != "perplexity_ratio"}
    [reason] = judged(metrics, not_measured={"perplexity_ratio": "no held-out text"}).reasons
    assert reason.endswith("perplexity_ratio was not measured (no held-out text)")
    why = {"delta": "no other author", "control/": "no twin of another author"}
    figures = Figures({"candidate/perplexity": 15.0}, not_measured=why)
    for name, words in (("candidate/delta", "no other author"), ("control_ratio", "no twin of another author")):
        [reason] = by_rule(figures, figure=name, at_most=1.0).reasons
        assert reason.endswith(f"{name} was not measured ({words})")


def test_an_evaluation_without_any_figure_does_not_pass() -> None:
    assert not judged({}, production=None).passed


@pytest.mark.parametrize(
    ("interval", "doubt", "passed"),
    [
        ((0.7, 0.9), "fail", True),
        ((0.7, 1.1), "fail", False),
        ((0.7, 1.1), "pass", True),
        ((1.05, 1.2), "pass", False),
        ((1.05, 1.2), "fail", False),
    ],
)
def test_an_interval_around_the_bound_is_doubt_and_the_rule_decides(
    interval: tuple[float, float], doubt: str, passed: bool
) -> None:
    value = 1.1 if interval[0] > 1 else 0.8
    figures = Figures({"ratio": value}, {"ratio": interval})
    verdict = by_rule(figures, figure="ratio", at_most=1.0, doubt=doubt)
    assert verdict.passed is passed
    assert ("leave it open" in verdict.findings[0].words) is (interval == (0.7, 1.1))


@pytest.mark.parametrize("name", ["perplexity_ratio", "control_ratio_reverse", "delta_difference", "judge/style_wins"])
@pytest.mark.parametrize("interval", [None, (math.nan, 0.9), (0.7, math.inf)])
def test_a_comparison_without_an_interval_is_doubt_however_good_it_looks(
    name: str, interval: tuple[float, float] | None
) -> None:
    for value in (0.2, 5.0):
        figures = Figures({name: value}, {name: interval} if interval else {})
        for doubt in ("pass", "fail"):
            verdict = by_rule(figures, figure=name, at_most=1.0, doubt=doubt)
            assert verdict.passed is (doubt == "pass")
            said = f"{name} is {value:g}, at most 1 is wanted; without an interval nobody knows"
            assert verdict.findings[0].words.endswith(said)


def test_a_candidate_that_was_measured_on_one_document_is_not_surely_better_than_the_base_model() -> None:
    [reason] = judged(GOOD, intervals={}).reasons
    assert "perplexity_ratio is 0.6" in reason


def test_a_plain_figure_needs_no_interval() -> None:
    for name in ("candidate/repetition", "candidate/longest_copy_of_all"):
        assert by_rule(Figures({name: 0.2}), figure=name, at_most=1.0, doubt="fail").passed
        assert not by_rule(Figures({name: 2.0}), figure=name, at_most=1.0, doubt="pass").passed


def test_the_intervals_of_both_sides_count() -> None:
    figures = Figures({"a": 2.0, "b": 1.9}, {"a": (1.8, 2.2), "b": (1.7, 2.1)})
    assert by_rule(figures, figure="a", at_most="b").passed
    assert not by_rule(figures, figure="a", at_most="b", times=0.8).passed
    assert (
        "at most 0.8 times b, 1.52 (1.36 to 1.68), is wanted"
        in by_rule(figures, figure="a", at_most="b", times=0.8).reasons[0]
    )


def test_some_figures_are_to_be_high() -> None:
    figures = Figures({"grounding": 0.7}, {"grounding": (0.6, 0.8)})
    assert by_rule(figures, figure="grounding", at_least=0.5, doubt="fail").passed
    assert not by_rule(figures, figure="grounding", at_least=0.65, doubt="fail").passed
    assert by_rule(figures, figure="grounding", at_least=0.65, doubt="pass").passed
    assert not by_rule(figures, figure="grounding", at_least=0.9, doubt="pass").passed


def test_the_verdict_travels_as_json() -> None:
    verdict = judged(GOOD | {"perplexity_ratio": 1.2})
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_every_line_of_a_rule_says_what_it_means() -> None:
    lines = [line for line in DEFAULT.read_text().splitlines() if ":" in line and not line.startswith(("#", "rules"))]
    assert len(lines) > 10
    assert [line for line in lines if "   # " not in line] == []


def test_the_file_is_named_by_a_setting(tmp_path: Path) -> None:
    rule = {"figure": "a", "at_most": 1, "doubt": "fail", "required": False, "because": "so"}
    (tmp_path / "gate.yaml").write_text(yaml.safe_dump({"rules": [rule]}))
    for name in (Path("gate.yaml"), tmp_path / "gate.yaml"):
        [found] = read_thresholds(Settings(home=tmp_path, gate_file=name)).rules
        assert (found.figure, found.bound) == ("a", 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [", "cannot be read"),
        ("", "valid dictionary"),
        ("rules: []", "at least 1 item"),
        ("rules: [{figure: a, doubt: fail, required: true, because: so}]", "wants one of at_most and at_least"),
        ("rules: [{figure: a, at_most: 1, doubt: fail, required: true, because: so, tims: 2}]", "rules.0.tims"),
        ("rules: [{figure: a, at_most: 1, doubt: maybe, required: true, because: so}]", "rules.0.doubt"),
    ],
)
def test_a_file_that_holds_no_rules_is_an_error_that_says_where(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "gate.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"LLMTWIN_GATE_FILE: .*gate\.yaml") as caught:
        read_thresholds(Settings(home=tmp_path, gate_file=Path("gate.yaml")))
    assert words in str(caught.value)


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"LLMTWIN_GATE_FILE: .*none\.yaml cannot be read"):
        read_thresholds(Settings(home=tmp_path, gate_file=Path("none.yaml")))
