"""The cleaned snapshot in Qdrant, read whole, in an order that never depends on chance."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from llmtwin import vectors
from llmtwin.documents import CLEANED_TYPES, CleanedDocument, Kind, user_id
from llmtwin.errors import DatasetError
from llmtwin.settings import Settings
from llmtwin.vectors.collections import scroll

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

EVERYBODY = "everybody"
LONG_AGO = datetime.min.replace(tzinfo=UTC)


def read_documents(settings: Settings, author: str | None) -> list[CleanedDocument]:
    """Return all cleaned documents of an author, the oldest first; those without a date before all others.

    Args:
        settings: Where Qdrant is.
        author: Full name, or the name of the author's datasets; None, or ``everybody``, for everybody.

    Raises:
        VectorStoreError: Qdrant is down or refused.
        DatasetError: The feature store holds nothing, or nothing of this author.
    """
    documents = []
    with vectors.connect(settings) as client:
        kinds = _filled(client)
        known = _authors(client, kinds)
        everybody = author is None or slug(author) == EVERYBODY
        chosen = None if everybody else vectors.chunk_filter([str(_author_id(str(author), known))])
        for kind in kinds:
            stored = CLEANED_TYPES[kind]
            for _, payload in scroll(client, vectors.cleaned_alias(kind), list(stored.model_fields), chosen):
                documents.append(stored.model_validate(payload))
    if not documents:
        raise DatasetError("the feature store holds no documents: crawl something first, see `llmtwin status`")
    return sorted(documents, key=lambda one: (one.published_at or LONG_AGO, one.link, str(one.document_id)))


def authors(settings: Settings) -> dict[UUID, str]:
    """Return the full names of all authors in the feature store, by id.

    Raises:
        VectorStoreError: Qdrant is down or refused.
    """
    with vectors.connect(settings) as client:
        return _authors(client, _filled(client))


def content_hashes(settings: Settings) -> dict[UUID, dict[UUID, str]]:
    """Return the hash of every document's content, by author and document.

    Raises:
        VectorStoreError: Qdrant is down or refused.
    """
    found: dict[UUID, dict[UUID, str]] = {}
    with vectors.connect(settings) as client:
        for kind in _filled(client):
            for id_, payload in scroll(client, vectors.cleaned_alias(kind), ["author_id", "content_hash"]):
                found.setdefault(UUID(payload["author_id"]), {})[UUID(id_)] = payload["content_hash"]
    return found


def author_name(documents: Iterable[CleanedDocument]) -> str:
    """Return the spelling of their author's name that most documents have."""
    return _most_frequent(Counter(document.author_full_name for document in documents))


def slug(name: str | None) -> str:
    """Return an author's name as the name of datasets: a folder's name, and easy to type.

    Accents go, letters of other scripts stay. None is everybody.
    """
    if name is None:
        return EVERYBODY
    plain = "".join(
        character
        for character in unicodedata.normalize("NFKD", name.casefold())
        if not unicodedata.combining(character)
    )
    return re.sub(r"\W+|_+", "-", unicodedata.normalize("NFC", plain)).strip("-") or str(user_id(name))


def _filled(client: QdrantClient) -> list[Kind]:
    served = vectors.aliases(client)
    return [kind for kind in Kind if vectors.cleaned_alias(kind) in served]


def _authors(client: QdrantClient, kinds: Iterable[Kind]) -> dict[UUID, str]:
    spellings: dict[UUID, Counter[str]] = {}
    for kind in kinds:
        for _, payload in scroll(client, vectors.cleaned_alias(kind), ["author_id", "author_full_name"]):
            spellings.setdefault(UUID(payload["author_id"]), Counter())[payload["author_full_name"]] += 1
    return {id_: _most_frequent(names) for id_, names in spellings.items()}


def _author_id(author: str, known: dict[UUID, str]) -> UUID:
    if (id_ := user_id(author)) in known:
        return id_
    same = [id_ for id_, name in known.items() if slug(name) == slug(author)]
    if len(same) == 1:
        return same[0]
    if not known:
        raise DatasetError("the feature store holds no documents: crawl something first, see `llmtwin status`")
    names = ", ".join(sorted(known.values()))
    raise DatasetError(f"the feature store holds nothing by {author!r}: there is {names}")


def _most_frequent(names: Counter[str]) -> str:
    return min(names, key=lambda name: (-names[name], name))
