"""What a dataset is to be: everything that decides its bytes, besides the documents themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmtwin.errors import DatasetError
from llmtwin.settings import Settings


class Options(BaseModel):
    """The options of one build. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=0, ge=0, description="of every choice that is made by chance")
    extract_tokens: int = Field(default=256, ge=32, le=4096, description="of the base model, in an answer at most")
    min_tokens: int = Field(default=32, ge=1, description="shorter extracts are dropped")
    min_words: int = Field(default=20, ge=1, description="extracts of fewer words are dropped")
    validation_share: float = Field(default=0.1, gt=0, lt=0.5, description="of documents")
    test_share: float = Field(default=0.15, gt=0, lt=0.5, description="of documents, the newest")
    languages: tuple[str, ...] = Field(default=(), description="ISO 639-1 codes; none: all languages")
    pii: Literal["drop", "keep"] = Field(default="drop", description="extracts that hold personal data or secrets")
    rag_share: float = Field(default=0.25, ge=0, le=1, description="of extracts, at most, once more with passages")
    rag_passages: int = Field(default=3, ge=1, le=10, description="in a prompt")
    teacher: bool = Field(default=True, description="whether the teacher is asked, where the settings name one")
    questions: int = Field(default=60, ge=0, description="for the teacher to answer, at most")
    preferences: int = Field(default=200, ge=0, description="imitations that the teacher writes, at most")

    @classmethod
    def of(cls, settings: Settings, given: Mapping[str, Any] | None = None) -> Self:
        """Return what is given, and for the rest what the settings say.

        Raises:
            DatasetError: Something else than options is given.
        """
        from_settings = {
            "extract_tokens": settings.dataset_extract_tokens,
            "rag_share": settings.dataset_rag_share,
            "pii": settings.dataset_pii,
            "languages": tuple(code for one in settings.dataset_languages.split(",") if (code := one.strip().lower())),
        }
        chosen = {name: value for name, value in (given or {}).items() if value is not None}
        try:
            return cls.model_validate(from_settings | chosen)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise DatasetError(f"these are no options of a dataset: {problems}") from error
