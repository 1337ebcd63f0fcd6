"""What every type refuses at the edges, whatever state its document is in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError
from tests.documents import WHEN, article, post, source_file

from llmtwin.documents import CHUNK_TYPES, CLEANED_TYPES, EMBEDDED_TYPES, RAW_TYPES, Contract, Kind, RawArticle, User

TYPES: list[type[Contract]] = [User]
for by_kind in (RAW_TYPES, CLEANED_TYPES, CHUNK_TYPES, EMBEDDED_TYPES):
    TYPES.extend(by_kind.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize("states", [RAW_TYPES, CLEANED_TYPES, CHUNK_TYPES, EMBEDDED_TYPES])
def test_every_kind_has_every_state(states: dict[Kind, type[Contract]]) -> None:
    assert states.keys() == set(Kind)
    for kind, contract in states.items():
        assert contract.model_fields["kind"].default == kind


@pytest.mark.parametrize("contract", TYPES, ids=lambda contract: contract.__name__)
def test_unknown_fields_are_refused(contract: type[Contract]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        contract.model_validate({"surprise": 1})


@pytest.mark.parametrize("document", [article(1), post(1), source_file(1)])
def test_a_raw_document_survives_json_and_rows(document: Any) -> None:
    contract = type(document)
    assert contract.model_validate_json(document.model_dump_json(by_alias=True)) == document
    assert contract.model_validate(document.to_row()) == document


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"content": None}, "content"),
        ({"content": ""}, "content"),
        ({"content": " \n\t\u3000"}, "content"),
        ({"content": "NUL \0 inside"}, "holds a NUL character"),
        ({"title": "lone \ud800 surrogate"}, "title"),
        ({"content_hash": "0" * 63}, "content_hash"),
        ({"content_hash": "G" * 64}, "content_hash"),
        ({"kind": "post"}, "kind"),
        ({"author_id": "nobody"}, "author_id"),
        ({"published_at": datetime(2026, 1, 2)}, "timezone info"),  # noqa: DTZ001 - the point
        ({"published_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))}, "outside the years 1 to 9999"),
        ({"published_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))}, "outside the years 1 to 9999"),
    ],
)
def test_what_a_store_on_the_way_could_not_hold_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        RawArticle.model_validate(article(1).to_row() | changes)


def test_times_are_kept_in_utc() -> None:
    elsewhere = WHEN.astimezone(timezone(timedelta(hours=9)))
    published_at = article(1, published_at=elsewhere).published_at
    assert published_at == WHEN
    assert published_at is not None
    assert published_at.tzinfo is UTC


def test_an_author_is_one_however_the_name_is_spaced_or_cased() -> None:
    assert User.named("  Ana   Núñez ").full_name == "Ana Núñez"
    assert User.named("ANA NÚÑEZ").id == User.named("ana núñez").id
    assert User.named("Ana Nunez").id != User.named("Ana Núñez").id
    with pytest.raises(ValidationError):
        User.named("  ")
