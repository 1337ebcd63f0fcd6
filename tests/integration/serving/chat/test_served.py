"""What the gateway serves beside the API: the page, its files, and the choices for its filters."""

from __future__ import annotations

import pytest
from tests.documents import AUTHOR
from tests.integration.serving.gateway.conftest import Gateway, Serve

from llmtwin.keys import KeyFile

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("path", ["/", "/chat/app.js", "/chat/vendor/markdown-it.mjs", "/chat/nothing.js"])
def test_every_file_comes_with_the_policy(gateway: Gateway, path: str) -> None:
    answer = gateway.http.get(path)
    assert answer.status_code == (404 if "nothing" in path else 200)
    if answer.status_code == 200:
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/chat/../page.py", "/chat/%2e%2e/page.py", "/chat/..%2fpage.py", "/chat/vendor"])
def test_nothing_but_the_files_is_served(gateway: Gateway, path: str) -> None:
    assert gateway.http.get(path).status_code == 404


def test_the_page_loads_nothing_from_elsewhere(gateway: Gateway) -> None:
    text = gateway.http.get("/").text
    assert "//" not in text.replace("<!doctype html>", "")
    assert " style=" not in text
    assert "<script>" not in text


def test_the_page_needs_no_key_but_the_choices_do(serve: Serve) -> None:
    gateway = serve()
    KeyFile(gateway.settings.gateway_keys).add("jane")
    assert gateway.http.get("/").status_code == 200
    assert gateway.http.get("/chat/app.js").status_code == 200
    assert gateway.http.get("/v1/facets").json()["error"]["code"] == "invalid_api_key"


def test_the_choices(filled: Gateway) -> None:
    assert filled.http.get("/v1/facets").json() == {
        "authors": [{"id": str(AUTHOR.id), "name": AUTHOR.full_name}],
        "kinds": ["post", "article", "repository"],
    }


def test_without_qdrant_there_are_no_choices(gateway: Gateway) -> None:
    answer = gateway.http.get("/v1/facets")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "retrieval_unavailable"
