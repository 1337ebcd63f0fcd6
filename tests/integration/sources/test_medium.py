"""Medium's pages and feeds, as a real web server plays them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.integration.sources.pages import SENTENCES, article_page, carrying, rss, rss_item, words
from tests.integration.sources.test_feed import finished

from llmtwin.documents import User
from llmtwin.errors import LoginWallError, PreviewError, ScriptedPageError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import crawl

STORY = "0123456789ab"


def story_page(title: str, link: str, *, preview: bool = False, declared_free: bool = True) -> str:
    """Return a story as Medium serves it: Apollo's state, JSON-LD, and what only members see left out."""
    state = {
        f"Post:{STORY}": {
            "id": STORY,
            'content({"postMeteringOptions":null})': {"__typename": "PostContent", "isLockedPreviewOnly": preview},
        },
        "Post:ffffffffffff": {"content": {"isLockedPreviewOnly": not preview}},
    }
    declared = {"@type": "NewsArticle", "isAccessibleForFree": declared_free, "datePublished": "2024-03-05T10:30:00Z"}
    head = (
        f"<link rel='canonical' href='{link}'><meta property='al:android:package' content='com.medium.reader'>"
        f"<meta property='og:site_name' content='Medium'>"
        f"<script type='application/ld+json'>{json.dumps(declared)}</script>"
    )
    body = f"{words('engines')}<script>window.__APOLLO_STATE__ = {json.dumps(state)}</script>"
    return article_page(title, head, body)


@pytest.fixture
def medium(web: Any, on_this_machine: Any) -> str:
    on_this_machine("medium.com", "ada.medium.com", "engines.example")
    return f"http://medium.com:{web.port}"


def test_a_story_by_its_address(web: Any, medium: str, author: User, open_settings: Settings) -> None:
    link = f"https://medium.com/@ada/on-engines-{STORY}"
    web.serve(f"/@ada/on-engines-{STORY}", story_page("On Engines", link))
    _, (document,) = finished(f"{medium}/@ada/on-engines-{STORY}?source=rss-1", author, open_settings)
    assert (document.link, document.platform, document.title) == (link, "medium.com", "On Engines")
    assert all(sentence.strip() in document.content for sentence in SENTENCES)


def test_a_story_on_a_domain_of_its_own_is_mediums(
    web: Any, medium: str, author: User, open_settings: Settings
) -> None:
    link = f"https://engines.example/on-engines-{STORY}"
    web.serve(f"/on-engines-{STORY}", story_page("On Engines", link))
    _, (document,) = finished(f"http://engines.example:{web.port}/on-engines-{STORY}", author, open_settings)
    assert (document.link, document.platform) == (link, "medium.com")


@pytest.mark.parametrize("declared_free", [True, False])
def test_a_preview_for_members_is_told_from_the_story(
    web: Any, medium: str, author: User, open_settings: Settings, declared_free: bool
) -> None:
    path = f"/@ada/for-members-{STORY}"
    web.serve(path, story_page("For Members", f"{medium}{path}", preview=True, declared_free=declared_free))
    with pytest.raises(PreviewError, match=r"members.*llmtwin import"):
        crawl(f"{medium}{path}", author, open_settings)
    # A story for members of which the whole text came, as it does by a friend's link.
    web.serve(path, story_page("For Members", f"{medium}{path}", preview=False, declared_free=declared_free))
    assert len(finished(f"{medium}{path}", author, open_settings)[1]) == 1


def test_without_a_state_what_the_page_declares_counts(
    web: Any, medium: str, author: User, open_settings: Settings
) -> None:
    path = f"/@ada/for-members-{STORY}"
    page = story_page("For Members", f"{medium}{path}", declared_free=False)
    web.serve(path, page.replace("__APOLLO_STATE__", "__SOMETHING_ELSE__"))
    with pytest.raises(PreviewError):
        crawl(f"{medium}{path}", author, open_settings)


@pytest.mark.parametrize(
    ("front", "feed"), [("/@ada", "/feed/@ada"), ("/feed/@ada", "/feed/@ada"), ("ada.medium.com", "/feed")]
)
def test_an_author_by_the_feed(
    web: Any, medium: str, author: User, open_settings: Settings, front: str, feed: str
) -> None:
    path = f"/@ada/on-engines-{STORY}"
    web.serve(path, story_page("On Engines", f"https://medium.com{path}"))
    web.serve(feed, rss(rss_item("On Engines", f"{medium}{path}?source=rss-1")), content_type="text/xml")
    link = f"{medium}{front}" if front.startswith("/") else f"http://{front}:{web.port}/"
    started, (document,) = finished(link, author, open_settings)
    assert document.link == f"https://medium.com{path}"
    assert document.source_link == started.source_link == link.replace("http:", "https:").rstrip("/")


def test_of_a_publication_only_what_the_author_wrote(
    web: Any, medium: str, author: User, open_settings: Settings
) -> None:
    path = f"/engines-weekly/on-engines-{STORY}"
    web.serve(path, story_page("On Engines", f"https://medium.com{path}"))
    mine = rss_item("On Engines", f"{medium}{path}", "<dc:creator><![CDATA[ada  LOVELACE]]></dc:creator>")
    theirs = rss_item("On Looms", f"{medium}/x", "<dc:creator><![CDATA[Joseph Jacquard]]></dc:creator>")
    web.serve("/feed/engines-weekly", rss(mine, theirs), content_type="text/xml")
    started, (document,) = finished(f"{medium}/engines-weekly", author, open_settings)
    assert document.title == "On Engines"
    assert started.skipped == {"by another author than Ada Lovelace": 1}


def test_where_medium_lets_no_programs_in_the_feeds_text_is_taken(
    web: Any, medium: str, author: User, open_settings: Settings
) -> None:
    whole, snippet = (
        words("engines"),
        '<div class="medium-feed-item"><p class="medium-feed-snippet">The beginning</p></div>',
    )
    web.serve("/open", "Just a moment…", 403)
    web.serve("/members", "Just a moment…", 403)
    feed = rss(
        rss_item("Open", f"{medium}/open", carrying(whole)), rss_item("Members", f"{medium}/members", carrying(snippet))
    )
    web.serve("/feed/@ada", feed, content_type="text/xml")
    started, (document,) = finished(f"{medium}/@ada", author, open_settings)
    assert (document.title, document.platform) == ("Open", "medium.com")
    assert all(sentence.strip() in document.content for sentence in SENTENCES)
    assert [type(failure) for failure in started.failures] == [LoginWallError]


def test_previews_in_a_feed_are_skipped_and_what_is_stored_stays(
    web: Any, medium: str, author: User, open_settings: Settings
) -> None:
    path = f"/@ada/for-members-{STORY}"
    web.serve(path, story_page("For Members", f"https://medium.com{path}", preview=True))
    web.serve("/feed/@ada", rss(rss_item("For Members", f"{medium}{path}", carrying(words("a snippet")))))
    link = f"https://medium.com:{web.port}{path}"
    started, documents = finished(f"{medium}/@ada", author, open_settings, {link: "0" * 64})
    assert not documents
    assert not started.failures
    assert started.skipped == {"for members or subscribers only": 1}
    assert started.unchanged == {link}


def test_a_page_that_only_a_browser_could_draw_says_so(
    web: Any, medium: str, author: User, open_settings: Settings
) -> None:
    path = f"/@ada/drawn-{STORY}"
    web.serve(path, "<html><head></head><body><div id='root'></div><script src='/main.js'></script></body></html>")
    with pytest.raises(ScriptedPageError, match="JavaScript"):
        crawl(f"{medium}{path}", author, open_settings.model_copy(update={"crawl_browser": "never"}))


def test_an_author_without_a_feed(web: Any, medium: str, author: User, open_settings: Settings) -> None:
    web.serve("/feed/@ada", article_page("Something went wrong"))
    with pytest.raises(UnreadableError, match=r"@ada.*no feed"):
        crawl(f"{medium}/@ada", author, open_settings)


def test_the_front_page_of_a_domain_of_its_own(web: Any, medium: str, author: User, open_settings: Settings) -> None:
    path = f"/on-engines-{STORY}"
    site = f"http://engines.example:{web.port}"
    web.serve(path, story_page("On Engines", f"https://engines.example{path}"))
    head = "<link rel='alternate' type='application/rss+xml' href='/feed'>"
    web.serve("/", article_page("Engines", head + "<meta property='al:android:package' content='com.medium.reader'>"))
    web.serve("/feed", rss(rss_item("On Engines", f"{site}{path}")), content_type="text/xml")
    _, (document,) = finished(site, author, open_settings)
    assert (document.link, document.platform) == (f"https://engines.example{path}", "medium.com")
