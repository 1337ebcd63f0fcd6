"""Filters: what is removed, under which name, and that nothing else is."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.authors import cleaned, text
from tests.documents import source_file

from llmtwin.datasets import personal
from llmtwin.datasets.extracts import Extract
from llmtwin.datasets.filters import distinct, filtered, prose_only, repeated_paragraphs
from llmtwin.datasets.language import language_of
from llmtwin.datasets.options import Options
from llmtwin.datasets.tokens import Tokenizer
from llmtwin.documents import CleanedRepositoryFile

GOOD = "The heron waits by the river until the evening. Then it flies home, slowly and without a sound."


def extract(content: str, tokenizer: Tokenizer, position: int = 0) -> Extract:
    return Extract(cleaned(1, content), position, (), 0, content, tokenizer.count(content))


def removed_from(content: str, tokenizer: Tokenizer, options: Options) -> dict[str, int]:
    removed: Counter[str] = Counter()
    kept = filtered([extract(content, tokenizer)], tokenizer, options, removed)
    assert len(kept) + removed.total() == 1
    return dict(removed)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GOOD, None),
        ("Too short.", "too short"),
        ("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20. 21 22 23 24 25 26 27.", "too short"),
        (f"Look:\n\n```\n{'x = call(one, two)  # and so on' + chr(10)}{'y = call(x, three)' + chr(10)}```", "code"),
        ("Home\nAbout\nContact us\nAll our books\nWhat we do for others", "no sentence"),
        (f"{GOOD} [SEP]", "special tokens"),
        (f"{GOOD} Write to ana@example.org!", "personal data or secrets"),
    ],
)
def test_each_filter(content: str, reason: str | None, tokenizer: Tokenizer, options: Options) -> None:
    assert removed_from(content, tokenizer, options) == ({reason: 1} if reason else {})


def test_languages(tokenizer: Tokenizer, options: Options) -> None:
    spanish = "La garza espera junto al río hasta la noche. Después vuelve a casa, despacio y sin ruido."
    assert (language_of(GOOD), language_of(spanish)) == ("en", "es")
    english = options.model_copy(update={"languages": ("en",)})
    assert removed_from(spanish, tokenizer, english) == {"language": 1}
    assert removed_from(GOOD, tokenizer, english) == {}
    assert removed_from(spanish, tokenizer, options) == {}


def test_personal_data_is_kept_where_the_setting_says_so(tokenizer: Tokenizer, options: Options) -> None:
    keep = options.model_copy(update={"pii": "keep"})
    assert removed_from(f"{GOOD} Write to ana@example.org!", tokenizer, keep) == {}


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        ("Write to ana.nunez+blog@mail.example.org.", {"e-mail address"}),
        ("Call +34 612 345 678 in the evening.", {"telephone number"}),
        ("My card is 4111 1111 1111 1111.", {"payment card"}),
        ("Send it to DE89 3704 0044 0532 0130 00.", {"IBAN"}),
        ("export AWS_KEY=AKIAIOSFODNN7EXAMPLE", {"secret"}),
        ("token: ghp_abcdefghijklmnopqrstuvwxyz0123456789", {"secret"}),
        ("-----BEGIN RSA PRIVATE KEY-----", {"secret"}),
        ("Loss 0.1234567, 1024 by 4096, 2023-10-12, 12345678901234567890, +100 points, 1 + 2 = 3", set()),
        ("@maximelabonne on X, user@host, 4111 1111 1111 1112, v1.2.3, 192.168.0.1", set()),
        ("SHA 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", set()),
    ],
)
def test_what_counts_as_personal_or_secret(content: str, kinds: set[str]) -> None:
    assert personal.found_in(content) == kinds


def test_code_is_no_prose_but_the_texts_beside_it_are() -> None:
    raw = source_file(1)
    shared = {name: getattr(raw, name) for name in CleanedRepositoryFile.model_fields if hasattr(raw, name)}
    code = CleanedRepositoryFile(**shared | {"document_id": raw.id, "version": 1})
    readme = code.model_copy(update={"language": "markdown", "path": "README.md"})
    removed: Counter[str] = Counter()
    assert prose_only([code, readme, cleaned(1)], removed) == [readme, cleaned(1)]
    assert removed == {"code": 1}


def test_a_paragraph_in_three_documents_is_furniture() -> None:
    documents = [cleaned(number, f"{text(number)}\n\nShare  this\npost") for number in range(3)]
    is_repeated = repeated_paragraphs(documents)
    assert is_repeated("Share this post")
    assert not is_repeated(text(0).split("\n\n")[0])
    assert not repeated_paragraphs(documents[:2])("Share this post")


def test_of_near_duplicates_the_first_stays(tokenizer: Tokenizer) -> None:
    one = text(1, paragraphs=2)
    other = text(2, paragraphs=2)
    again = one.replace("nobody", "no one", 1)
    extracts = [extract(content, tokenizer, at) for at, content in enumerate([one, other, again, one])]
    removed: Counter[str] = Counter()
    assert distinct(extracts, removed) == extracts[:2]
    assert removed == {"near-duplicate": 2}
