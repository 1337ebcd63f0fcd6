"""Substack's pages, feed and archive, as a real web server plays them."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.integration.sources.conftest import send
from tests.integration.sources.pages import SENTENCES, article_page, rss, rss_item, words
from tests.integration.sources.test_feed import finished

from llmtwin.documents import User
from llmtwin.errors import HttpStatusError, PreviewError
from llmtwin.settings import Settings
from llmtwin.sources import crawl

CDN = "<link rel='preconnect' href='https://substackcdn.com'>"


def post_page(title: str, link: str, *, paid: bool = False) -> str:
    """Return a post as Substack serves it; of a paid one the beginning, and the wall after it."""
    wall = "<div data-testid='paywall' class='paywall'><h2>This post is for paid subscribers</h2></div>" if paid else ""
    body = f"<div class='available-content'><div class='body markup'>{words('engines')}</div></div>{wall}"
    return article_page(title, f"{CDN}<link rel='canonical' href='{link}'>", body)


def post(number: int, site: str, **different: Any) -> dict[str, Any]:
    """Return a post as the archive names it."""
    return {
        "id": 1000 + number,
        "slug": f"post-{number}",
        "title": f"Post {number}",
        "post_date": "2024-03-05T10:30:00.000Z",
        "type": "newsletter",
        "audience": "everyone",
        "canonical_url": f"{site}/p/post-{number}",
        "truncated_body_text": "The beginning …",
        **different,
    }


def serve_archive(web: Any, posts: list[dict[str, Any]], at_most: int = 5) -> None:
    """Page through these posts; as Substack does, a page may be shorter than was asked for."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked = parse_qs(urlsplit(request.path).query)
        assert asked["sort"] == ["new"]
        start = int(asked["offset"][0])
        page = posts[start : start + min(at_most, int(asked["limit"][0]))]
        send(request, json.dumps(page), content_type="application/json; charset=utf-8")

    web.routes["/api/v1/archive"] = answer


@pytest.fixture
def site(web: Any, on_this_machine: Any) -> str:
    on_this_machine("ada.substack.com", "engines.example")
    return f"http://ada.substack.com:{web.port}"


def test_a_post_by_its_address(web: Any, site: str, author: User, open_settings: Settings) -> None:
    link = "https://ada.substack.com/p/on-engines"
    web.serve("/p/on-engines", post_page("On Engines", link))
    _, (document,) = finished(f"{site}/p/on-engines?utm_source=x", author, open_settings)
    assert (document.link, document.platform, document.title) == (link, "substack.com", "On Engines")
    assert all(sentence.strip() in document.content for sentence in SENTENCES)


def test_a_post_for_subscribers_is_no_article(web: Any, site: str, author: User, open_settings: Settings) -> None:
    web.serve("/p/paid", post_page("Paid", f"{site}/p/paid", paid=True))
    with pytest.raises(PreviewError, match=r"/p/paid.*subscribers.*llmtwin import"):
        crawl(f"{site}/p/paid", author, open_settings)


@pytest.mark.parametrize("front", ["", "/", "/archive", "/archive?sort=new"])
def test_a_publication_by_its_archive(web: Any, site: str, author: User, open_settings: Settings, front: str) -> None:
    posts = [post(number, site) for number in range(12)]
    posts[3] |= {"audience": "only_paid"}
    posts[4] |= {"type": "podcast"}
    posts[5] |= {"canonical_url": None}
    for number in range(12):
        web.serve(f"/p/post-{number}", post_page(f"Post {number}", f"https://ada.substack.com/p/post-{number}"))
    serve_archive(web, posts)
    started, documents = finished(f"{site}{front}", author, open_settings)
    assert [document.title for document in documents] == [f"Post {n}" for n in range(12) if n not in (3, 4)]
    assert started.skipped == {"for members or subscribers only": 1, "podcast": 1}
    assert not started.failures
    assert {document.source_link for document in documents} == {started.source_link}
    assert len([path for path, _ in web.requests if path.startswith("/api/")]) == 4


def test_a_publication_on_a_domain_of_its_own(web: Any, site: str, author: User, open_settings: Settings) -> None:
    own = f"http://engines.example:{web.port}"
    web.serve("/", article_page("Engines", CDN))
    web.serve("/p/post-1", post_page("Post 1", "https://engines.example/p/post-1"))
    serve_archive(web, [post(1, own)])
    _, (document,) = finished(own, author, open_settings)
    assert (document.link, document.platform) == ("https://engines.example/p/post-1", "substack.com")


def test_a_publication_by_its_feed(web: Any, site: str, author: User, open_settings: Settings) -> None:
    web.serve("/p/post-1", post_page("Post 1", "https://ada.substack.com/p/post-1"))
    web.serve("/feed", rss(rss_item("Post 1", f"{site}/p/post-1")), content_type="application/xml")
    _, (document,) = finished(f"{site}/feed", author, open_settings)
    assert document.platform == "substack.com"


@pytest.mark.parametrize(
    ("status", "body"), [(403, "no programs"), (404, "not here"), (200, "<html>"), (200, '{"error": 1}'), (200, "[1]")]
)
def test_where_the_archive_is_refused_the_feed_is_read(
    web: Any, site: str, author: User, open_settings: Settings, status: int, body: str
) -> None:
    web.serve("/api/v1/archive", body, status)
    web.serve("/p/post-1", post_page("Post 1", "https://ada.substack.com/p/post-1"))
    web.serve("/feed", rss(rss_item("Post 1", f"{site}/p/post-1")), content_type="application/xml")
    started, documents = finished(site, author, open_settings)
    assert [document.title for document in documents] == ["Post 1"]
    assert started.source_link == site.replace("http:", "https:")


def test_a_publication_that_is_none(web: Any, site: str, author: User, open_settings: Settings) -> None:
    with pytest.raises(HttpStatusError, match="404"):
        crawl(site, author, open_settings)


def test_an_archive_that_fails_half_way_keeps_what_it_gave(
    web: Any, site: str, author: User, open_settings: Settings
) -> None:
    for number in range(3):
        web.serve(f"/p/post-{number}", post_page(f"Post {number}", f"https://ada.substack.com/p/post-{number}"))

    def answer(request: BaseHTTPRequestHandler) -> None:
        if "offset=0" in request.path:
            send(request, json.dumps([post(number, site) for number in range(3)]), content_type="application/json")
        else:
            send(request, "oops", 500)

    web.routes["/api/v1/archive"] = answer
    started, documents = finished(site, author, open_settings)
    assert len(documents) == 3
    assert "offset=3" in str(started.failures[0])


def test_a_long_archive_is_bounded(web: Any, site: str, author: User, open_settings: Settings) -> None:
    for number in range(4):
        web.serve(f"/p/post-{number}", post_page(f"Post {number}", f"https://ada.substack.com/p/post-{number}"))
    serve_archive(web, [post(number, site) for number in range(500)])
    settings = open_settings.model_copy(update={"crawl_max_pages": 4})
    started, documents = finished(site, author, settings)
    assert len(documents) == 4
    assert started.skipped == {"beyond the first 4 (LLMTWIN_CRAWL_MAX_PAGES)": 1}
    assert len(web.requests) < 10
