"""What is kept of a request, and what a reader says about its answer."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

TRACE_ID = r"^[0-9a-f]{32}$"


class Thumbs(StrEnum):
    """Whether an answer was good."""

    UP = "up"
    DOWN = "down"


class UsedPassage(BaseModel):
    """A passage that a prompt held."""

    model_config = ConfigDict(frozen=True)

    chunk_id: str
    link: str
    score: float


class Trace(BaseModel):
    """One request for an answer.

    ``question``, ``prompt`` and ``answer`` are empty unless the settings want them kept.
    """

    model_config = ConfigDict(frozen=True)

    trace_id: str = Field(pattern=TRACE_ID, description="UUIDv7, so that ids sort by time")
    started_at: AwareDatetime
    path: str = Field(description="of the API")
    key: str | None = Field(default=None, description="digest of the API key's name")
    model: str = Field(default="", description="as asked for")
    served: str = Field(default="", description="the version that answered")
    question: str | None = Field(default=None, description="what passages were looked for")
    prompt: Any = Field(default=None, description="messages or text, as the model was sent them")
    parameters: dict[str, Any] = Field(default_factory=dict, description="temperature and the like")
    passages: list[UsedPassage] = Field(default_factory=list, description="in the prompt's order")
    notes: list[str] = Field(default_factory=list, description="what could not be done")
    steps: dict[str, float] = Field(default_factory=dict, description="seconds")
    answer: list[str] = Field(default_factory=list, description="of each choice")
    usage: dict[str, Any] = Field(default_factory=dict, description="tokens, as OpenAI counts them")
    status: int = Field(default=200, description="HTTP; 499: the client left")
    error: str | None = None

    @property
    def seconds(self) -> float:
        """How long the request took."""
        return self.steps.get("total", 0.0)

    @property
    def columns(self) -> dict[str, Any]:
        """What is worth a column of its own in Parquet."""
        return {
            "trace_id": self.trace_id,
            "started_at": self.started_at.isoformat(),
            "model": self.served or self.model,
            "status": self.status,
            "seconds": self.seconds,
            "prompt_tokens": self.usage.get("prompt_tokens"),
            "completion_tokens": self.usage.get("completion_tokens"),
            "passages": len(self.passages),
        }


class Feedback(BaseModel):
    """What the holder of a key thinks of an answer; a later one of the same key about the same answer replaces it."""

    model_config = ConfigDict(frozen=True)

    trace_id: str = Field(pattern=TRACE_ID)
    thumbs: Thumbs
    corrected_text: str | None = Field(default=None, description="what the answer should have been")
    comment: str | None = None
    key: str | None = Field(default=None, description="digest of the API key's name")
    created_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def columns(self) -> dict[str, Any]:
        """What is worth a column of its own in Parquet."""
        return {
            "trace_id": self.trace_id,
            "created_at": self.created_at.isoformat(),
            "thumbs": self.thumbs.value,
            "corrected": self.corrected_text is not None,
        }


def key_digest(name: str | None) -> str | None:
    """Return what stands for an API key: tells keys apart without naming their holders to whoever reads traces."""
    return hashlib.sha256(f"llmtwin key {name}".encode()).hexdigest()[:16] if name else None
