"""What every type in this package shares."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

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
Timestamp = AwareDatetime


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
