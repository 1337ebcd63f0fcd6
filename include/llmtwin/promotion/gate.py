"""The gate: whether a candidate is good enough for a human's time.

It judges figures of an evaluation by rules of a YAML file, and says why in words. A figure has an interval where the
evaluation gave it one: as long as figure and bound overlap, nobody knows which one is better, and the rule says what
doubt means. A comparison of two models that has no interval, as of one document, is nothing but doubt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llmtwin.errors import SettingsError
from llmtwin.settings import Settings

DEFAULT = Path(__file__).with_name("gate.yaml")
_PRODUCTION = "production"
# How the names of figures end that compare two models.
_COMPARISONS = ("_ratio", "_ratio_reverse", "_bits", "_difference", "_wins")


class Measured(Protocol):
    """What the gate reads of an evaluation."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """The figures by name."""

    @property
    def intervals(self) -> Mapping[str, tuple[float, float]]:
        """The ends of their intervals, of those that have one."""

    @property
    def not_measured(self) -> Mapping[str, str]:
        """Why figures are missing, by their names."""

    @property
    def production(self) -> str | None:
        """The version that was in production; why it was not measured beside is noted for ``production/``."""


class Rule(BaseModel):
    """One bound on one figure; gate.yaml says what each field means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    figure: str
    at_most: float | str | None = None
    at_least: float | str | None = None
    times: float = Field(default=1.0, gt=0)
    doubt: Literal["pass", "fail"]
    required: bool
    because: str

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"the rule on {self.figure!r} wants one of at_most and at_least")
        return self

    @property
    def bound(self) -> float | str:
        """A number, or the name of a figure."""
        bound = self.at_least if self.at_most is None else self.at_most
        assert bound is not None
        return bound

    @property
    def figures(self) -> list[str]:
        """The names of all figures it needs."""
        return [self.figure, *([self.bound] if isinstance(self.bound, str) else [])]


class Thresholds(BaseModel):
    """The rules of a gate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = Field(min_length=1)


class Outcome(StrEnum):
    """How a rule ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


class Finding(BaseModel):
    """One rule, applied."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    words: str
    """What was found, as a sentence."""


class Verdict(BaseModel):
    """What the gate says of a candidate."""

    model_config = ConfigDict(frozen=True)

    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether a human is to be asked."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Why it is rejected; nothing when it passed."""
        return [finding.words for finding in self.findings if finding.outcome is Outcome.FAILED]


def read_thresholds(settings: Settings) -> Thresholds:
    """Return the rules of the file that settings name, else those that come with llmtwin.

    Raises:
        SettingsError: The file is missing, or holds no such rules; says what is wrong with which.
    """
    import yaml

    path = DEFAULT if settings.gate_file is None else settings.home / settings.gate_file.expanduser()
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"LLMTWIN_GATE_FILE: {path} cannot be read: {error}") from error
    try:
        return Thresholds.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"LLMTWIN_GATE_FILE: {path}: {where}: {first['msg']}") from error


def gate(evaluation: Measured, thresholds: Thresholds) -> Verdict:
    """Judge a candidate by its evaluation. A figure that is no finite number counts as not measured."""
    return Verdict(findings=tuple(_apply(rule, evaluation) for rule in thresholds.rules))


@dataclass(frozen=True)
class _Range:
    """A number and the ends of its interval; without one, the number itself, or of a comparison everything."""

    value: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        return self.low > -math.inf and self.high < math.inf

    def __str__(self) -> str:
        ends = "" if self.low == self.high or not self.is_known else f" ({self.low:.4g} to {self.high:.4g})"
        return f"{self.value:.4g}{ends}"


def _apply(rule: Rule, evaluation: Measured) -> Finding:
    if (why := _no_production(evaluation)) and any(_PRODUCTION in name for name in rule.figures):
        return Finding(outcome=Outcome.NOT_APPLICABLE, words=f"{rule.because}: {why}")
    if missing := [name for name in rule.figures if _range(name, evaluation) is None]:
        outcome = Outcome.FAILED if rule.required else Outcome.NOT_APPLICABLE
        return Finding(outcome=outcome, words=f"{rule.because}: {' and '.join(_missing(missing, evaluation))}")
    figure, bound = _range(rule.figure, evaluation), _bound(rule, evaluation)
    assert figure is not None and bound is not None
    clearly_met, clearly_broken = figure.high <= bound.low, figure.low > bound.high
    if rule.at_most is None:
        clearly_met, clearly_broken = figure.low >= bound.high, figure.high < bound.low
    passed = clearly_met or (rule.doubt == "pass" and not clearly_broken)
    open_ = "the intervals leave it open" if figure.is_known and bound.is_known else "without an interval nobody knows"
    doubt = "" if clearly_met or clearly_broken else f"; {open_}"
    words = f"{rule.because}: {rule.figure} is {figure}, {_bound_words(rule, bound)}{doubt}"
    return Finding(outcome=Outcome.PASSED if passed else Outcome.FAILED, words=words)


def _no_production(evaluation: Measured) -> str | None:
    """Return why there is nothing in production to compare with; None where there is.

    One that could not be measured at all, as of another base model, must not keep every candidate out for ever.
    """
    unknown = evaluation.not_measured.get(f"{_PRODUCTION}/")
    return unknown or ("nothing is in production yet" if evaluation.production is None else None)


def _missing(names: list[str], evaluation: Measured) -> list[str]:
    return [f"{name} was not measured" + (f" ({why})" if (why := _why(name, evaluation)) else "") for name in names]


def _why(name: str, evaluation: Measured) -> str | None:
    """Return why a figure is missing: noted for it, for the figure of all models, or for all figures of its model."""
    model, _, figure = name.rpartition("/")
    given = evaluation.not_measured
    return given.get(name) or given.get(figure) or given.get(f"{model or name.partition('_')[0]}/")


def _range(name: str, evaluation: Measured) -> _Range | None:
    value = evaluation.metrics.get(name)
    if value is None or not math.isfinite(value):
        return None
    ends = evaluation.intervals.get(name)
    if ends is not None and all(map(math.isfinite, ends)):
        return _Range(value, *ends)
    return _Range(value, -math.inf, math.inf) if name.endswith(_COMPARISONS) else _Range(value, value, value)


def _bound(rule: Rule, evaluation: Measured) -> _Range | None:
    if isinstance(rule.bound, str):
        found = _range(rule.bound, evaluation)
        return found and _Range(found.value * rule.times, found.low * rule.times, found.high * rule.times)
    number = rule.bound * rule.times
    return _Range(number, number, number)


def _bound_words(rule: Rule, bound: _Range) -> str:
    direction = "at least" if rule.at_most is None else "at most"
    if isinstance(rule.bound, float):
        return f"{direction} {bound} is wanted"
    factor = "" if rule.times == 1 else f"{rule.times:g} times "
    return f"{direction} {factor}{rule.bound}, {bound}, is wanted"
