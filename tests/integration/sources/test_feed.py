"""Feeds off a real web server: the articles that they name, and those that they once named."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.integration.sources.pages import SENTENCES, article_page, carrying, rss, rss_item, words

from llmtwin.documents import RawArticle, User
from llmtwin.errors import HttpStatusError, SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import Crawl, crawl, listing


def finished(
    link: str, author: User, settings: Settings, known: dict[str, str] | None = None
) -> tuple[Crawl, list[RawArticle]]:
    started = crawl(link, author, settings, lambda _: known or {})
    documents = [document for document in started.documents if isinstance(document, RawArticle)]
    assert started.complete
    return started, documents


def canonical(link: str) -> str:
    return link.replace("http:", "https:")


def marks(documents: list[RawArticle]) -> dict[str, str]:
    return {document.link: document.content_hash for document in documents}


def test_an_rss_feed(web: Any, author: User, open_settings: Settings) -> None:
    links = [web.serve(f"/posts/{name}", article_page(name.title())) for name in ("engines", "looms")]
    feed = web.serve("/feed", rss(*(rss_item("As the feed says", link) for link in links)), content_type="text/xml")
    started, documents = finished(feed, author, open_settings)
    assert [document.link for document in documents] == [canonical(link) for link in links]
    assert {document.source_link for document in documents} == {started.source_link} == {canonical(feed)}
    assert [document.title for document in documents] == ["Engines", "Looms"]
    assert {document.published_at for document in documents} == {datetime(2024, 3, 5, 10, 30, tzinfo=UTC)}
    assert all(sentence.strip() in documents[0].content for sentence in SENTENCES)
    assert not started.failures
    assert not started.skipped


def test_an_atom_feed_of_an_unknown_address(web: Any, author: User, open_settings: Settings) -> None:
    web.serve("/posts/engines", article_page("Engines"))
    link = web.serve(
        "/what-is-new",
        '<?xml version="1.0"?><?xml-stylesheet href="/x.xsl"?><!-- hello -->\n'
        '<feed xmlns="http://www.w3.org/2005/Atom"><title>Notes</title><entry><title>Engines</title><id>tag:1</id>'
        '<link rel="alternate" href="posts/engines"/><updated>2024-03-05T10:30:00+01:00</updated></entry></feed>',
        content_type="text/plain",
    )
    (document,) = finished(link, author, open_settings)[1]
    assert document.link == canonical(f"{web.url}/posts/engines")
    assert document.published_at == datetime(2024, 3, 5, 9, 30, tzinfo=UTC)


def test_a_json_feed(web: Any, author: User, open_settings: Settings) -> None:
    web.serve("/posts/engines", article_page("Engines"))
    items = [{"id": "1", "url": "/posts/engines", "date_published": "2024-03-05T10:30:00Z"}, {"id": "2"}, "no item"]
    link = web.serve(
        "/feed.json",
        json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "Notes", "items": items}),
        content_type="application/json",
    )
    started, (document,) = finished(link, author, open_settings)
    assert document.published_at == datetime(2024, 3, 5, 10, 30, tzinfo=UTC)
    assert started.skipped == {"without a link": 1}


def test_what_a_json_feed_says_that_cannot_be_stored(web: Any, author: User, open_settings: Settings) -> None:
    web.serve("/untitled", f"<!doctype html><html><body><article>{words('engines')}</article></body></html>")
    web.serve("/engines", article_page("Engines"))
    items = [
        {"url": "/untitled", "title": "Half \ud83d an emoji\0", "date_published": "0001-01-01T00:00:00+05:00"},
        {"url": "/engines", "title": ["no text"], "date_published": 5},
        {"url": "/\ud83d", "title": "At no address"},
    ]
    feed = json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": items})
    started, documents = finished(web.serve("/feed.json", feed), author, open_settings)
    assert [(one.title, one.published_at) for one in documents] == [("Half ? an emoji", None), ("Engines", None)]
    assert len(started.failures) == 1


def test_numbers_of_characters_that_do_not_exist(web: Any, author: User, open_settings: Settings) -> None:
    web.serve("/untitled", f"<!doctype html><html><body><article>{words('engines')}</article></body></html>")
    title = "Joy &#55357;&#56832; &#xD800; &#0; &#x110000; &#8364;"
    (document,) = finished(web.serve("/feed", rss(rss_item(title, "/untitled"))), author, open_settings)[1]
    assert document.title is not None
    assert document.title.split() == ["Joy", "\u20ac"]


def test_a_feed_over_which_its_parser_stumbles(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve("/feed", rss(rss_item(f"&#{'9' * 2000};", "/posts/engines"), rss_item("<", "/posts/engines")))
    with pytest.raises(UnreadableError, match="is a broken feed"):
        crawl(link, author, open_settings)


def test_articles_that_moved_for_good(web: Any, author: User, open_settings: Settings) -> None:
    old = [web.serve(f"/old/{name}", article_page(name)) for name in ("engines", "looms")]
    feed = web.serve("/feed", rss(*(rss_item("T", link) for link in old)))
    known = marks(finished(feed, author, open_settings)[1])
    for name in ("engines", "looms"):
        web.serve(f"/new/{name}", article_page(name))
        web.serve(f"/old/{name}", "", 301, Location=f"/new/{name}")
    web.serve("/feed", rss(rss_item("T", "/new/engines")))
    started, documents = finished(feed, author, open_settings, known)
    assert [one.link for one in documents] == [canonical(f"{web.url}/new/{name}") for name in ("engines", "looms")]
    assert not started.unchanged
    assert not started.failures


def test_the_front_page_of_a_site_stands_for_the_feed_it_names(web: Any, author: User, open_settings: Settings) -> None:
    web.serve("/posts/engines", article_page("Engines"))
    web.serve("/blog/index.xml", rss(rss_item("Engines", "/posts/engines")), content_type="application/rss+xml")
    web.serve("/", article_page("Home", "<link rel='alternate' type='application/rss+xml' href='/blog/index.xml'>"))
    started, (document,) = finished(f"{web.url}/", author, open_settings)
    assert started.source_link == document.source_link == canonical(web.url)
    assert document.title == "Engines"


def test_an_article_at_the_address_of_a_feed_is_an_article(web: Any, author: User, open_settings: Settings) -> None:
    started, (document,) = finished(web.serve("/blog/rss", article_page("What RSS is")), author, open_settings)
    assert document.title == "What RSS is"
    assert started.source_link == document.link


def test_what_feeds_get_wrong(web: Any, author: User, open_settings: Settings, on_this_machine: Any) -> None:
    on_this_machine("elsewhere.test")
    web.serve("/posts/engines", article_page("Engines"))
    web.serve("/posts/looms", article_page("Looms"))
    feed = rss(
        rss_item("Without a link", None),
        rss_item("Relative", "posts/engines"),
        rss_item("Twice", f"{web.url}/posts/engines?utm_source=rss#top"),
        rss_item("On another host", f"http://elsewhere.test:{web.port}/posts/looms"),
        rss_item("No page", "mailto:ada@example.org"),
        rss_item("No valid link", "https://[half"),
        rss_item("Gone", "/posts/gone", date="yesterday, or the day before"),
    )
    started, documents = finished(web.serve("/rss", feed, content_type="text/xml"), author, open_settings)
    assert [document.platform for document in documents] == ["127.0.0.1", "elsewhere.test"]
    assert started.skipped == {"without a link": 2, "duplicate": 1}
    assert len(started.failures) == 2
    assert canonical(f"{web.url}/posts/gone") in [failure.link for failure in started.failures]


def test_two_entries_whose_page_is_the_same_are_one_article(web: Any, author: User, open_settings: Settings) -> None:
    page = article_page("Engines", "<link rel='canonical' href='/posts/engines'>")
    web.serve("/posts/engines", page)
    web.serve("/amp/engines", page)
    feed = rss(rss_item("Engines", "/amp/engines"), rss_item("Engines", "/posts/engines"))
    started, (document,) = finished(web.serve("/rss", feed), author, open_settings)
    assert document.link == canonical(f"{web.url}/posts/engines")
    assert started.skipped == {"duplicate": 1}


def test_a_feed_that_breaks_off_is_read_as_far_as_it_goes(web: Any, author: User, open_settings: Settings) -> None:
    web.serve("/posts/engines", article_page("Engines"))
    feed = rss(rss_item("Engines", "/posts/engines"), rss_item("Looms", "/posts/looms"))
    link = web.serve("/feed", feed[: feed.index("<title>Looms")], content_type="application/rss+xml")
    documents = finished(link, author, open_settings)[1]
    assert [document.title for document in documents] == ["Engines"]


@pytest.mark.parametrize("body", ["", "<html>no feed</html>", '{"version": 1', '{"items":' + "[" * 100_000, "\x00\x01"])
def test_a_feed_in_which_nothing_can_be_read(web: Any, author: User, open_settings: Settings, body: str) -> None:
    link = web.serve("/feed", body, content_type="application/rss+xml")
    with pytest.raises(UnreadableError, match=r"/feed.*feed"):
        crawl(link, author, open_settings)


def test_a_feed_without_entries_holds_nothing_and_is_well(web: Any, author: User, open_settings: Settings) -> None:
    started, documents = finished(web.serve("/feed", rss()), author, open_settings)
    assert not documents
    assert not started.failures


def test_a_feed_whose_entities_grow_does_not(web: Any, author: User, open_settings: Settings) -> None:
    lol = "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1};" * 10}">' for n in range(1, 10))
    channel = "<channel><title>&lol9;</title></channel>"
    body = f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY lol0 "lol">{lol}]><rss>{channel}</rss>'
    link = web.serve("/feed", body, content_type="application/rss+xml")
    tracemalloc.start()
    try:
        assert not list(crawl(link, author, open_settings).documents)
    except UnreadableError:
        pass  # as good: it is refused
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 500_000_000  # of 3 GB


def test_a_feed_does_not_read_files_of_this_machine(
    web: Any, author: User, open_settings: Settings, tmp_path: Any
) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text(article_page("Secret"))
    body = (
        f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY secret SYSTEM "{secret.as_uri()}">]>'
        f"<rss><channel>{rss_item('&secret;', secret.as_uri())}</channel></rss>"
    )
    started, documents = finished(web.serve("/feed", body, content_type="text/xml"), author, open_settings)
    assert not documents
    assert len(started.failures) == 1


def test_ten_thousand_entries_are_bounded_and_counted(web: Any, author: User, open_settings: Settings) -> None:
    for n in range(20):
        web.serve(f"/posts/{n}", article_page(f"Post {n}"))
    body = rss(*(rss_item(f"Post {n}", f"/posts/{n}", carrying(words("nothing"))) for n in range(10_000)))
    settings = open_settings.model_copy(update={"crawl_max_pages": 20})
    started, documents = finished(web.serve("/feed", body, content_type="text/xml"), author, settings)
    assert len(documents) == 20
    assert started.skipped == {"beyond the first 20 (LLMTWIN_CRAWL_MAX_PAGES)": 9_980}
    assert len(web.requests) == 21


def test_a_second_crawl_asks_only_whether_pages_have_changed(web: Any, author: User, open_settings: Settings) -> None:
    links = [web.serve_changing(f"/posts/{n}", article_page(f"Post {n}")) for n in range(3)]
    feed = web.serve_changing("/feed", rss(*(rss_item("Post", link) for link in links)))
    _, first = finished(feed, author, open_settings)
    _, second = finished(feed, author, open_settings, marks(first))
    assert marks(first) == marks(second)
    assert [bool(headers["If-None-Match"]) for headers in web.headers] == [False] * 4 + [True] * 4


def test_what_fell_out_of_the_feed_is_read_again(web: Any, author: User, open_settings: Settings) -> None:
    links = [web.serve_changing(f"/posts/{n}", article_page(f"Post {n}")) for n in range(4)]
    _, first = finished(web.serve("/feed", rss(*(rss_item("P", link) for link in links))), author, open_settings)
    web.serve("/feed", rss(rss_item("P", links[0])))
    web.serve_changing("/posts/2", article_page("Post 2", body=words("something else")))
    web.serve("/posts/3", "gone", 410)
    started, second = finished(f"{web.url}/feed", author, open_settings, marks(first))
    assert [document.link for document in second] == [canonical(links[0]), canonical(links[2])]
    assert started.unchanged == {canonical(links[1])}
    assert not started.failures
    assert {document.source_link for document in second} == {started.source_link}


def test_a_known_article_that_fails_is_protected_under_its_own_link(
    web: Any, author: User, open_settings: Settings
) -> None:
    link = web.serve("/posts/engines", article_page("Engines"))
    _, first = finished(web.serve("/feed", rss(rss_item("Engines", link))), author, open_settings)
    web.serve("/posts/engines", "oops", 500)
    for entries in ([rss_item("Engines", f"{link}?utm_source=feed")], []):
        web.serve("/feed", rss(*entries))
        started, documents = finished(f"{web.url}/feed", author, open_settings, marks(first))
        assert not documents
        assert [failure.link for failure in started.failures] == [canonical(link)]
        assert "HTTP 500" in str(started.failures[0])


def test_a_new_article_that_is_gone_is_a_failure_and_a_known_one_is_not(
    web: Any, author: User, open_settings: Settings
) -> None:
    link = canonical(f"{web.url}/posts/gone")
    feed = web.serve("/feed", rss(rss_item("Gone", "/posts/gone")))
    started, _ = finished(feed, author, open_settings)
    assert [failure.link for failure in started.failures] == [link]
    started, documents = finished(feed, author, open_settings, {link: "0" * 64})
    assert not documents
    assert not started.failures
    assert not started.unchanged


@pytest.mark.parametrize("address", ["/feed", "/what-is-new"])
def test_when_a_feed_is_gone_its_articles_are_still_looked_after(
    web: Any, author: User, open_settings: Settings, address: str
) -> None:
    links = [web.serve_changing(f"/posts/{n}", article_page(f"Post {n}")) for n in range(2)]
    _, first = finished(web.serve(address, rss(*(rss_item("P", link) for link in links))), author, open_settings)
    web.serve(address, "gone", 404)
    web.serve("/posts/1", "gone", 410)
    started, second = finished(f"{web.url}{address}", author, open_settings, marks(first))
    assert not second
    assert started.unchanged == {canonical(links[0])}
    assert [str(failure) for failure in started.failures] == [f"'{web.url}{address}': the server answered HTTP 404"]


def test_a_feed_that_never_was_is_a_failure_as_a_whole(web: Any, author: User, open_settings: Settings) -> None:
    with pytest.raises(HttpStatusError, match=r"/feed.*404"):
        crawl(f"{web.url}/feed", author, open_settings)


def test_the_feeds_own_text_stands_in_for_a_page_that_cannot_be_read(
    web: Any, author: User, open_settings: Settings
) -> None:
    web.serve("/closed", "no programs here", 403)
    web.serve("/scripted", "<html><body><div id='root'></div><script>draw()</script></body></html>")
    web.serve("/summarised", "no programs here", 403)
    whole = "<p>All of it, with <em>stress</em> and <a href='/posts/looms'>a link</a>.</p><pre><code>a  b</code></pre>"
    feed = rss(
        rss_item("Closed", "/closed", carrying(whole)),
        rss_item("Scripted", "/scripted", carrying(whole)),
        rss_item("Summarised", "/summarised", "<description>The beginning …</description>"),
    )
    settings = open_settings.model_copy(update={"crawl_browser": "never"})
    started, documents = finished(web.serve("/feed", feed), author, settings)
    assert [document.title for document in documents] == ["Closed", "Scripted"]
    assert f"[a link]({web.url}/posts/looms)" in documents[0].content
    assert "a  b" in documents[0].content
    assert [failure.link for failure in started.failures] == [canonical(f"{web.url}/summarised")]


def test_it_does_not_stand_in_for_a_page_that_is_gone_or_ill(web: Any, author: User, open_settings: Settings) -> None:
    web.serve("/ill", "oops", 500)
    feed = rss(*(rss_item("T", path, carrying(words("engines"))) for path in ("/gone", "/ill")))
    started, documents = finished(web.serve("/feed", feed), author, open_settings)
    assert not documents
    assert len(started.failures) == 2


def test_robots_that_forbid_an_entry_leave_what_is_stored(web: Any, author: User, open_settings: Settings) -> None:
    web.serve("/robots.txt", "User-agent: *\nDisallow: /posts/\n")
    web.serve("/posts/engines", article_page("Engines"))
    feed = web.serve("/feed", rss(rss_item("Engines", "/posts/engines")))
    link = canonical(f"{web.url}/posts/engines")
    started, documents = finished(feed, author, open_settings, {link: "0" * 64})
    assert not documents
    assert started.skipped == {"robots.txt": 1}
    assert started.unchanged == {link}


def test_broken_encodings_in_feed_and_pages(web: Any, author: User, open_settings: Settings) -> None:
    sentence = "Où est le café que tout le monde cherche depuis ce matin, et pourquoi n'est-il pas déjà là ? " * 4
    page = article_page("Café", body=f"<p>{sentence}</p>").replace("<meta charset='utf-8'>", "")
    web.serve("/latin", page.encode("cp1252"), content_type="text/html; charset=utf-8")
    web.serve("/none", b"\x00\x81\xfe\xff" * 200)
    body = rss(rss_item("Café", "/latin"), rss_item("None", "/none")).replace("UTF-8", "iso-8859-1").encode("cp1252")
    started, (document,) = finished(web.serve("/feed", body, content_type="text/xml"), author, open_settings)
    assert sentence.strip() in document.content
    assert document.title == "Café"
    assert [failure.link for failure in started.failures] == [canonical(f"{web.url}/none")]


def test_a_server_that_stops_answering_is_left_alone(web: Any, author: User, open_settings: Settings) -> None:
    web.serve("/posts/0", article_page("Post"))
    for n in range(1, 50):
        web.serve(f"/posts/{n}", "busy", 429, Retry_After="3600")
    feed = web.serve("/feed", rss(*(rss_item("Post", f"/posts/{n}") for n in range(50))))
    started = crawl(feed, author, open_settings)
    documents = []
    with pytest.raises(UnreachableError, match=r"pages in a row.*429"):
        for document in started.documents:
            documents.append(document)  # noqa: PERF402 - what came before the error counts
    assert len(documents) == 1
    assert not started.complete
    assert len(started.failures) == listing.PATIENCE
    assert len(web.requests) == 2 + listing.PATIENCE


def test_another_host_that_stops_answering_does_not_stop_the_crawl(
    web: Any, author: User, open_settings: Settings, on_this_machine: Any
) -> None:
    on_this_machine("elsewhere.test")
    web.serve("/posts/engines", article_page("Engines"))
    for n in range(9):
        web.serve(f"/busy/{n}", "busy", 429, Retry_After="3600")
    busy = [rss_item("Busy", f"http://elsewhere.test:{web.port}/busy/{n}") for n in range(9)]
    feed = web.serve("/feed", rss(*busy, rss_item("Engines", "/posts/engines")))
    started, (document,) = finished(feed, author, open_settings)
    assert document.title == "Engines"
    assert len(started.failures) == 9
    assert "was left alone" in str(started.failures[-1])
    assert len([path for path, _ in web.requests if path.startswith("/busy/")]) == listing.PATIENCE


def test_an_entry_that_redirects_in_a_circle_or_to_a_private_address(
    web: Any, author: User, open_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmtwin.sources.guard.is_public", lambda address: address == "127.0.0.1")
    web.serve("/circle", "", 302, Location="/circle")
    web.serve("/inside", "", 302, Location=f"http://127.0.0.2:{web.port}/secret")
    web.serve("/posts/engines", article_page("Engines"))
    feed = rss(*(rss_item("T", path) for path in ("/circle", "/inside", "/posts/engines")))
    settings = open_settings.model_copy(update={"crawl_allow_private": False})
    started, (document,) = finished(web.serve("/feed", feed), author, settings)
    assert document.title == "Engines"
    reasons = [str(failure) for failure in started.failures]
    assert "redirects more than 10 times" in reasons[0]
    assert "127.0.0.2" in reasons[1]
    assert all(isinstance(failure, SourceError) for failure in started.failures)
