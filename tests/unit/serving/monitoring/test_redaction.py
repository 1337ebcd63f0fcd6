"""What of a request is kept."""

from __future__ import annotations

from typing import Any

import pytest
from uuid6 import uuid7

from serving.gateway.monitoring.redaction import HIDDEN, bare, kept, without_secrets
from serving.gateway.trace import Trace

OWN_KEY = "llmtwin-" + "aB3_-" * 8 + "xyz"


def asked(**fields: Any) -> Trace:
    return Trace(uuid7().hex, "/v1/chat/completions", **fields)


@pytest.mark.parametrize(
    "secret",
    [
        OWN_KEY,
        "ghp_" + "a1" * 18,
        "github_pat_" + "a1" * 20,
        "sk-proj-" + "a1" * 20,
        "hf_" + "a1" * 17,
        "AKIA" + "A1" * 8,
        "xoxb-" + "12" * 10,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\ncut off",
    ],
)
def test_secrets_are_known_by_their_shape(secret: str) -> None:
    value = {"messages": [{"content": f"before {secret} after"}]}
    hidden = str(without_secrets(value))
    assert secret not in hidden
    assert hidden.count(HIDDEN) == 1
    assert "before" in hidden


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Authorization: Bearer abcdefghijklmnopqrstuvwx", f"Authorization: Bearer {HIDDEN}"),
        ("mongodb://ana:s3cret@db.example/x", f"mongodb://{HIDDEN}@db.example/x"),
    ],
)
def test_what_stands_around_a_secret_stays(text: str, left: str) -> None:
    assert without_secrets(text) == left


@pytest.mark.parametrize(
    "text", ["llmtwin-demo is a name", "task-based work", "https://example.org/a:b@c", "a bearer of news", "sk-8 board"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    ("link", "left"),
    [
        ("https://example.org/a?sig=abc#L1-L2", "https://example.org/a#L1-L2"),
        ("https://ana:pw@example.org:8443/a", "https://example.org:8443/a"),
        ("http://[broken", HIDDEN),
    ],
)
def test_links_lose_what_may_be_a_secret(link: str, left: str) -> None:
    assert bare(link) == left


def test_without_content_only_figures_are_kept() -> None:
    trace = asked(
        question="q",
        prompt=[{"content": "p"}],
        answer=["a"],
        parameters={"temperature": 0.1, "seed": "text", "tools": []},
    )
    left = kept(trace, content=False)
    assert (left.question, left.prompt, left.answer) == (None, None, [])
    assert left.parameters == {"temperature": 0.1}
    full = kept(trace, content=True)
    assert (full.question, full.answer, full.parameters) == ("q", ["a"], trace.parameters)


def test_notes_and_errors_name_links_without_their_queries() -> None:
    said = "a link could not be read: 'https://example.org/a?sig=abc#L1': HTTP 404"
    left = kept(asked(notes=[said], error=said), content=False)
    assert left.notes == [left.error] == ["a link could not be read: 'https://example.org/a#L1': HTTP 404"]


def test_an_error_that_quotes_the_question_is_content() -> None:
    trace = asked(error="Input should be a valid number: 'my secret'", error_quotes=True)
    assert kept(trace, content=False).error == "the model refused the request"
    assert kept(trace, content=True).error == trace.error


def test_an_error_is_cut() -> None:
    assert len(str(kept(asked(error="x" * 5_000), content=False).error)) == 1_000
