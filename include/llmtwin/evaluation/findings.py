"""Numbers on their way into an evaluation, with the reasons for those that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from llmtwin.evaluation.intervals import Estimate, mean
from llmtwin.evaluation.stylometry import DeltaVariant


@dataclass
class Findings:
    """What was measured so far.

    Attributes:
        seed: Of resampling.
        estimates: By the number's name.
        not_measured: By the number's name, or the beginning that several share: why not.
        notes: What a reader should know.
        delta: Which distance ``<who>/delta`` is; None where it was not measured.
    """

    seed: int
    estimates: dict[str, Estimate] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    delta: DeltaVariant | None = None

    def add_mean(self, name: str, documents: Sequence[str], values: Iterable[float | None]) -> None:
        """Add a mean over texts, its interval by document; texts without a value are left out.

        Args:
            name: Of the number.
            documents: Of each text.
            values: Of each text.
        """
        by_document: dict[str, list[float]] = {}
        for document, value in zip(documents, values, strict=True):
            if value is not None:
                by_document.setdefault(document, []).append(value)
        if by_document:
            self.estimates[name] = mean([by_document[one] for one in sorted(by_document)], self.seed)
        else:
            self.not_measured[name] = "no text has it"

    def add_value(self, name: str, value: float, documents: int) -> None:
        """Add a number without an interval, from so many documents."""
        self.estimates[name] = Estimate(value=value, documents=documents)
