"""The instructions of INSTRUCTOR models; other models get none."""

from __future__ import annotations

from llmtwin.documents import Kind
from llmtwin.features.embedding.model import Model
from llmtwin.settings import Settings

_WHAT = {Kind.POST: "post", Kind.ARTICLE: "article", Kind.REPOSITORY: "code"}


def model_name(kind: Kind, settings: Settings) -> str:
    """Return the model that the settings choose for a kind."""
    return settings.code_model if kind is Kind.REPOSITORY else settings.text_model


def document_prompt(model: Model, kind: Kind) -> str:
    """Return what goes before a document of this kind."""
    return f"Represent the {_WHAT.get(kind, kind)} for retrieval: " if model.is_instructor else ""


def query_prompt(model: Model, kind: Kind) -> str:
    """Return what goes before a query for documents of this kind."""
    return f"Represent the question for retrieving supporting {_WHAT.get(kind, kind)}: " if model.is_instructor else ""
