"""The authors whose voice a twin speaks in."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from pydantic import Field

from llmtwin.documents.contract import Contract, FilledText
from llmtwin.documents.identity import user_id


class User(Contract):
    """An author. Source: the name given with a crawl."""

    id: UUID = Field(alias="_id", description="UUIDv5 of the case-folded full name")
    full_name: FilledText = Field(description="as the author writes it")

    @classmethod
    def named(cls, full_name: str) -> Self:
        """Return the user of this name; runs of white space count as one space."""
        return cls(id=user_id(full_name), full_name=" ".join(full_name.split()))
