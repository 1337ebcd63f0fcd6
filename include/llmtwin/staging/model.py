"""What a model's Python file works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pydantic import ValidationError

    from llmtwin.settings import Settings


@dataclass(frozen=True)
class Context:
    """What a model may use besides its input tables."""

    settings: Settings


@dataclass(frozen=True)
class Rejected:
    """A row that goes no further, and why."""

    row: dict[str, Any]
    reason: str

    @classmethod
    def by_contract(cls, row: dict[str, Any], error: ValidationError) -> Self:
        """Reject a row with all that its Pydantic contract found wrong."""
        problems = error.errors(include_url=False, include_input=False)
        told = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
        return cls(row, f"breaks its contract: {told}")


@dataclass
class ModelOutput:
    """What a model returns: rows in the shape of its contract, and those that could not be brought into it.

    A column may also be given whole under ``columns`` (an Arrow or NumPy array as long as ``rows``), which is how
    vectors avoid becoming Python floats.
    """

    rows: list[dict[str, Any]]
    columns: dict[str, Any] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
