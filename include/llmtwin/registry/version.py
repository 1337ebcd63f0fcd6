"""A version of the twin: one adapter and what is known about it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePosixPath

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

# Also a folder's name and a part of a model's name in requests: no separators, no leading dot.
VERSION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class Status(StrEnum):
    """How far a version has come: candidate → accepted → production → archived, and back to production."""

    CANDIDATE = "candidate"
    ACCEPTED = "accepted"
    PRODUCTION = "production"
    ARCHIVED = "archived"


class Lineage(BaseModel):
    """Where an adapter came from: enough to train it again, and to tell why it is as it is.

    What is unknown is None. Fields of a newer llmtwin are dropped: a registry outlives the programs that read it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    author: str | None = Field(default=None, description="full name of whose voice it has")
    dataset: str | None = Field(default=None, description="reference of the dataset: name@version")
    dataset_digest: str | None = Field(default=None, description="of the dataset's content, hexadecimal")
    recipe: str | None = Field(default=None, description="name of the recipe")
    recipe_digest: str | None = Field(default=None, description="SHA-256 of the recipe as it was run, hexadecimal")
    code_revision: str | None = Field(default=None, description="git commit of the code that trained it")
    base_model_revision: str | None = Field(default=None, description="digest or commit of the base model's files")
    experiment: str | None = Field(default=None, description="Comet's URL or key, or the path of an offline archive")
    run_id: str | None = Field(default=None, description="the training run, a folder of its name")
    metrics: dict[str, float] = Field(default_factory=dict, description="of training, by name")


class Version(BaseModel):
    """One version of the twin. Its adapter never changes; its status does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(pattern=VERSION_PATTERN)
    status: Status
    base_model: str = Field(description="hub id or folder of the model it was trained on, as its configuration says")
    rank: int = Field(ge=1, description="the highest rank of its matrices")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of its weights")
    created_at: AwareDatetime
    promoted_at: AwareDatetime | None = Field(default=None, description="when it last went into production")
    lineage: Lineage | None = Field(default=None, description="where it came from; None for what was imported")
    reason: str | None = Field(default=None, description="why it was archived, in words")
    taken_up_by: str | None = Field(default=None, description="whoever judges it, or tried to; no other does unasked")

    @property
    def served_name(self) -> str:
        """What requests call it."""
        return f"twin@{self.version}"


def is_same_model(one: str, other: str) -> bool:
    """Tell whether two names mean the same base model.

    A model has a hub id on one machine and a folder on another, so only the last part counts, whatever its case.
    """
    return PurePosixPath(one).name.lower() == PurePosixPath(other).name.lower()
