"""Pages given by their links come first; where links may not lead, they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.documents import article
from tests.integration.retrieval.conftest import Ask, index
from tests.integration.sources.conftest import WebServer
from tests.integration.sources.pages import article_page, words

from llmtwin import vectors
from llmtwin.errors import ForbiddenLinkError
from llmtwin.settings import Settings

pytestmark = pytest.mark.stack

PRIVATE: dict[str, Any] = {"retrieval_links_private": True}
# What the crawler of the machine's owner may do, those who ask may not.
CRAWLER: dict[str, Any] = {"crawl_allow_local": True, "crawl_allow_private": True}


def test_a_named_page_comes_before_what_is_found(store: Settings, ask: Ask, web: WebServer) -> None:
    index(store, article(1, "A stored text about the mill and its numbers."))
    link = web.serve("/mill", article_page("The mill"))
    found = ask("Write a post about the mill", changes=PRIVATE, links=[link])
    first, *_, last = found.passages
    assert (first.title, first.author, first.position) == ("The mill", None, 0)
    assert "About The mill" in first.content
    assert last.link == article(1).link
    assert "links" in found.steps
    assert found.notes == []


def test_nothing_of_a_page_is_stored(store: Settings, ask: Ask, web: WebServer) -> None:
    index(store, article(1))
    with vectors.connect(store) as client:
        before = {name: client.count(name).count for name in vectors.collection_names(client)}
        ask("the mill", changes=PRIVATE, links=[web.serve("/mill", article_page("The mill"))])
        assert {name: client.count(name).count for name in vectors.collection_names(client)} == before
    assert list(store.data.rglob("*")) == []


def test_a_page_that_the_question_mentions_is_read(store: Settings, ask: Ask, web: WebServer) -> None:
    link = web.serve("/mill", article_page("The mill"))
    found = ask(f"Write a post based on {link}, please", changes=PRIVATE)
    assert found.passages[0].title == "The mill"
    assert len(web.requests) == 1


def test_a_stored_article_is_not_given_twice(store: Settings, ask: Ask, web: WebServer) -> None:
    link = web.serve("/mill", article_page("The mill"))
    stored = ask("the mill", changes=PRIVATE, links=[link]).passages[0]
    from llmtwin.documents import RawArticle, content_hash

    text = "The mill grinds numbers as another grinds corn."
    index(
        store,
        RawArticle.model_validate(
            article(1).model_dump()
            | {"id": stored.document_id, "link": stored.link, "content": text, "content_hash": content_hash(text)}
        ),
    )
    found = ask("the mill grinds", changes=PRIVATE, links=[link])
    assert [passage.content for passage in found.passages if passage.content == text] == []


def test_of_a_long_page_the_beginning_and_what_fits_the_question(store: Settings, ask: Ask, web: WebServer) -> None:
    body = "".join(words(f"topic {n}") for n in range(40)) + "<p>Zanzibar has its own mill, built of coral.</p>"
    link = web.serve("/long", article_page("Long", body=body))
    found = ask("the mill of Zanzibar", changes=PRIVATE | {"retrieval_link_passages": 4}, links=[link])
    assert len(found.passages) == 4
    assert [passage.position for passage in found.passages[:2]] == [0, 1]
    assert "Zanzibar" in found.passages[-1].content


@pytest.mark.parametrize("changes", [{}, CRAWLER])
def test_private_addresses_are_refused_where_a_request_names_them(
    store: Settings, ask: Ask, web: WebServer, changes: dict[str, Any]
) -> None:
    link = web.serve("/secret", article_page("Secret"))
    with pytest.raises(ForbiddenLinkError, match="not on the public internet"):
        ask("the mill", changes=changes, links=[link])
    assert web.requests == []


def test_files_of_this_machine_are_never_read(store: Settings, ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "secret.md"
    file.write_text("# Secret\n\nA text of some length that nobody should be shown.")
    for link in (str(file), file.as_uri(), "ftp://example.org/x", "https://ana:word@example.org/"):
        with pytest.raises(ForbiddenLinkError):
            ask("the secret", changes=CRAWLER | PRIVATE, links=[link])


def test_a_private_address_in_a_question_is_what_the_question_is_about(
    store: Settings, ask: Ask, web: WebServer
) -> None:
    index(store, article(1, "How to call the local server with a client."))
    found = ask(f"How do I call {web.url}/v1?")
    assert found.passages[0].link == article(1).link
    assert found.notes[0].endswith("leads to no public page")
    assert web.requests == []


@pytest.mark.parametrize(("path", "note"), [("/missing", "HTTP 404"), ("/pdf", "is a PDF file"), ("/empty", "no text")])
def test_a_page_that_cannot_be_read_is_a_note(store: Settings, ask: Ask, web: WebServer, path: str, note: str) -> None:
    index(store, article(1))
    web.serve("/pdf", b"%PDF-1.7 ...")
    web.serve("/empty", "<html><body></body></html>")
    found = ask("a text", changes=PRIVATE, links=[f"{web.url}{path}"])
    assert found.passages[0].link == article(1).link
    assert note in found.notes[0]


def test_a_page_that_takes_too_long_is_a_note(store: Settings, ask: Ask, web: WebServer) -> None:
    import threading

    release = threading.Event()
    web.routes["/slow"] = lambda request: (release.wait(20), request.send_error(500))[1]
    index(store, article(1))
    try:
        found = ask("a text", changes=PRIVATE | {"rag_timeout_seconds": 0.5}, links=[f"{web.url}/slow"], rerank=False)
    finally:
        release.set()
    assert found.passages
    assert "took longer than 0.5 s" in found.notes[0]
