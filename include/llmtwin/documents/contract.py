"""What every type in this package shares."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

# MongoDB's cluster time, seconds in the upper 32 bits and the counter in the lower: sorts as time does, fits int64.
Version = Annotated[int, Field(ge=0, lt=2**63)]
ContentHash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("holds a lone surrogate, which is no text; decode with errors='replace'") from error
    if "\0" in text:
        raise ValueError("holds a NUL character, so it is not text")
    return text


# Text that every store on the way can hold: encodable as UTF-8 and free of NUL.
Text = Annotated[str, AfterValidator(_encodable)]
FilledText = Annotated[Text, Field(min_length=1, pattern=r"\S")]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("lies outside the years 1 to 9999 once it is in UTC") from error


# In UTC from here on: what MongoDB, Arrow and Qdrant store, and what Python can read back from them.
Timestamp = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Kind(StrEnum):
    """What a document is; decides its handlers and its collections."""

    POST = "post"
    ARTICLE = "article"
    REPOSITORY = "repository"


class Contract(BaseModel):
    """A typed row that crosses a boundary: unknown fields are refused, instances never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)

    def to_row(self) -> dict[str, Any]:
        """Return the fields as plain Python values, UUIDs and datetimes kept."""
        return self.model_dump(mode="python")


class Published(Contract):
    """Who wrote a text, and where it was published: carried unchanged from the raw document to the last chunk."""

    author_id: UUID
    author_full_name: FilledText = Field(description="as the author writes it")
    platform: FilledText = Field(description="where it was published: host name, or `file` for a local path")
    link: FilledText = Field(description="canonical link of the document; a reader can open it")
    title: Text | None = None
    published_at: Timestamp | None = None


class RepositoryFile(Contract):
    """What a source file carries besides."""

    repository_id: UUID = Field(description="the parent repository")
    path: FilledText = Field(description="path inside the repository, slashes forward")
    language: FilledText = Field(description="lower-case name, e.g. `python`, `markdown`, `text`")
