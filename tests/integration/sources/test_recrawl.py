"""Feeds crawled again and again into the warehouse."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.sources.pages import article_page, rss, rss_item, words

from llmtwin import crawling
from llmtwin.settings import Settings

pytestmark = pytest.mark.stack


def counts(result: dict[str, Any]) -> dict[str, int]:
    return {name: value for name, value in result.items() if isinstance(value, int) and value and name != "found"}


def test_a_feed_over_time(web: Any, mongodb: Any, open_settings: Settings) -> None:
    links = [web.serve_changing(f"/posts/{n}", article_page(f"Post {n}")) for n in range(4)]
    feed = web.serve_changing("/feed", rss(*(rss_item("P", link) for link in links)))
    registered = crawling.sources_to_crawl(mongodb, "Ada Lovelace", [feed], open_settings)
    (source,) = registered

    def crawl() -> dict[str, Any]:
        return crawling.crawl_source(mongodb, source, open_settings)

    assert counts(crawl()) == {"new": 4}
    assert counts(crawl()) == {"unchanged": 4}

    # One falls out and stays; one changes; one is gone, but still in the feed; one is ill.
    web.serve_changing("/feed", rss(*(rss_item("P", link) for link in links[1:])))
    web.serve_changing("/posts/1", article_page("Post 1", body=words("something else")))
    web.serve("/posts/2", "gone", 410)
    web.serve("/posts/3", "ill", 500)
    result = crawl()
    assert counts(result) == {"unchanged": 1, "changed": 1, "missed": 1}
    assert len(result["failed"]) == 1
    assert counts(crawl()) == {"unchanged": 2, "deleted": 1}

    # The feed itself is gone: that is told, and its articles stay as they are.
    web.serve("/feed", "gone", 404)
    web.serve_changing("/posts/3", article_page("Post 3"))
    result = crawl()
    assert counts(result) == {"unchanged": 3}
    assert result["failed"] == [f"{feed!r}: the server answered HTTP 404"]
    assert mongodb["articles"].count_documents({}) == 3
