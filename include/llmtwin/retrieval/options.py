"""What a request may say about retrieval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from llmtwin.documents import Kind
from llmtwin.documents.contract import FilledText
from llmtwin.settings import Settings

Mode = Literal["hybrid", "dense", "sparse"]
# Each is a setting, ``retrieval_<name>``.
_FROM_SETTINGS = ("mode", "top_k", "expansion", "self_query", "rerank", "deduplicate", "parents")


def _each_once(kinds: list[Kind]) -> list[Kind]:
    return list(dict.fromkeys(kinds))


class Options(BaseModel):
    """Where to look, and which techniques to use. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    authors: list[FilledText] = Field(
        default_factory=list, max_length=50, description="full names or ids; none: everybody's writing"
    )
    kinds: Annotated[list[Kind], AfterValidator(_each_once)] = Field(default_factory=lambda: list(Kind), min_length=1)
    top_k: int = Field(default=5, ge=1, le=50, description="passages, those of links not counted")
    mode: Mode = Field(default="hybrid", description="dense: by meaning; sparse: by words; hybrid: both, fused by rank")
    expansion: int = Field(default=0, ge=0, le=5, description="rephrasings by the LLM that are searched besides")
    self_query: bool = Field(
        default=False, description="let the LLM take author, kind, platform and time range from the question"
    )
    rerank: bool = Field(default=True, description="read what was found once more, and sort it")
    deduplicate: bool = Field(default=True, description="drop passages that say what a better one says")
    parents: bool = Field(default=False, description="give each passage with its neighbours in the document")
    links: list[Annotated[FilledText, Field(max_length=2_000)]] = Field(
        default_factory=list, max_length=5, description="pages to read now and put before what is found"
    )

    @classmethod
    def of(cls, settings: Settings, given: Mapping[str, Any] | None = None) -> Self:
        """Return what a request gives, and for the rest what the settings say.

        Raises:
            pydantic.ValidationError: The request gives something else than options.
        """
        return cls.model_validate(
            {name: getattr(settings, f"retrieval_{name}") for name in _FROM_SETTINGS} | dict(given or {})
        )
