"""What an evaluation found, and where it is kept.

::

    <data>/evaluations/<version>/evaluation.json   the numbers, samples and where they come from; replaced as a whole
    <data>/evaluations/<version>/report.html       the same for people, in one file
    <data>/evaluations/<version>/answers.jsonl     what models and judge answered, so that nothing is asked twice
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from llmtwin.errors import EvaluationError
from llmtwin.evaluation.intervals import Estimate
from llmtwin.evaluation.stylometry import DeltaVariant
from llmtwin.registry.version import VERSION_PATTERN
from llmtwin.settings import Settings

RESULT = "evaluation.json"
REPORT = "report.html"
ANSWERS = "answers.jsonl"


class Options(BaseModel):
    """How much is measured, and how models are made to answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0, description="of what is chosen and resampled")
    texts: int = Field(default=40, ge=1, description="of the author's, scored for perplexity, of each author")
    answers: int = Field(default=24, ge=1, description="prompts without passages that each model answers")
    grounded_answers: int = Field(default=12, ge=0, description="prompts with passages that each model answers")
    answer_tokens: int = Field(default=200, ge=16, description="the longest answer")
    temperature: float = Field(default=0.7, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    judged: int = Field(default=12, ge=0, description="answers that the judge compares, of each pair of models")


class ModelCard(BaseModel):
    """A model that was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str
    name: str
    version: str | None = Field(description="in the registry; None for the base model")
    author: str | None = Field(description="whose twin it is, as the registry knows")
    identity: str = Field(description="SHA-256 of its weights; of the base model its folder or hub id")


class DocumentFigures(BaseModel):
    """One held-out document: perplexity by model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    document: str
    title: str
    tokens: int
    perplexity: dict[str, float]


class Written(BaseModel):
    """An answer beside others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    cut: bool = False
    copied: str | None = Field(default=None, description="the longest run of words that stands in the training text")
    copied_words: int = 0


class Sample(BaseModel):
    """One prompt, what the author wrote, and what each model wrote."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["instruction", "grounded"]
    prompt: str
    passages: str | None = None
    link: str | None = None
    author: str
    answers: dict[str, Written]


class Provenance(BaseModel):
    """What the numbers come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str
    vllm: str = Field(description="version of the server")
    judge: str | None = None
    references: dict[str, str] = Field(description="other authors whose text is the yardstick, and where it is from")
    delta: DeltaVariant | None = Field(
        default=None,
        description="what <who>/delta is: cosine, Cosine Delta among several authors; burrows, Burrows's Delta by "
        "the author's own variation; None where it was not measured, or was Cosine Delta before this was noted",
    )
    code_revision: str | None = None
    llmtwin: str
    seconds: float = Field(description="of this run; less where it went on after one that was killed")
    scored_tokens: int
    generated_tokens: int


class Evaluation(BaseModel):
    """What was measured of one version of the twin.

    ``metrics`` is flat: ``candidate/perplexity``, ``perplexity_ratio``, … as docs/evaluation.md lists them. What could
    not be measured is in ``not_measured`` with the reason, and is in ``metrics`` under no name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal[1] = 1
    version: str
    author: str
    dataset: str
    dataset_digest: str
    created_at: AwareDatetime
    production: str | None = Field(description="in production then; whether it was compared, `models` tells")
    control: str | None
    models: list[ModelCard]
    options: Options
    estimates: dict[str, Estimate]
    not_measured: dict[str, str]
    notes: list[str]
    documents: list[DocumentFigures]
    samples: list[Sample]
    provenance: Provenance
    experiment: str | None = Field(default=None, description="Comet's key")

    @property
    def metrics(self) -> dict[str, float]:
        """Every number by its name."""
        return {name: found.value for name, found in self.estimates.items()}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % intervals of the numbers that have one."""
        return {name: found.interval for name, found in self.estimates.items() if found.interval is not None}


def folder_of(settings: Settings, version: str) -> Path:
    """Return the folder of a version's evaluation.

    Raises:
        EvaluationError: That is no version's name.
    """
    if not re.match(VERSION_PATTERN, version):
        raise EvaluationError(f"{version!r} is not the name of a version")
    return settings.data / "evaluations" / version


def read_evaluation(settings: Settings, version: str) -> Evaluation:
    """Return what was measured of a version.

    Raises:
        EvaluationError: It was not evaluated, or the file is damaged.
    """
    file = folder_of(settings, version) / RESULT
    try:
        return Evaluation.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise EvaluationError(f"version {version} was not evaluated: run `llmtwin evaluate {version}`") from None
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise EvaluationError(f"{file} is damaged ({reason}): run `llmtwin evaluate {version} --again`") from error
