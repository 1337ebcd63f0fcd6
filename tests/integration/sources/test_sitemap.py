"""Sitemaps off a real web server."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sources.pages import article_page
from tests.integration.sources.test_feed import canonical, finished, marks

from llmtwin.documents import User
from llmtwin.errors import HttpStatusError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import crawl, sitemap

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def urlset(*entries: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset {NAMESPACE}>{"".join(entries)}</urlset>'


def index(*links: str) -> str:
    entries = "".join(f"<sitemap><loc>{link}</loc></sitemap>" for link in links)
    return f'<?xml version="1.0" encoding="UTF-8"?><sitemapindex {NAMESPACE}>{entries}</sitemapindex>'


def entry(link: str, lastmod: str | None = None) -> str:
    changed = f"<lastmod>{lastmod}</lastmod>" if lastmod else ""
    return f"<url><loc>\n  {link}\n</loc>{changed}<priority>0.5</priority></url>"


def test_a_sitemap(web: Any, author: User, open_settings: Settings) -> None:
    old = web.serve("/posts/engines", article_page("Engines"))
    new = web.serve("/posts/looms?a=1&b=2".partition("?")[0], article_page("Looms"))
    body = urlset(entry(old, "2021-01-01"), entry(f"{new}?a=1&amp;b=2", "2024-03-05T10:30:00+01:00"))
    started, documents = finished(web.serve("/sitemap.xml", body, content_type="text/xml"), author, open_settings)
    assert [document.title for document in documents] == ["Looms", "Engines"]
    assert documents[0].link == canonical(f"{new}?a=1&b=2")
    assert {document.source_link for document in documents} == {canonical(f"{web.url}/sitemap.xml")}
    assert not started.failures


def test_an_index_of_sitemaps_nested_and_packed(web: Any, author: User, open_settings: Settings) -> None:
    links = [web.serve(f"/posts/{n}", article_page(f"Post {n}")) for n in range(4)]
    packed = gzip.compress(urlset(entry(links[0]), entry(links[1])).encode())
    first = web.serve("/sitemap-1.xml.gz", packed, content_type="application/x-gzip")
    second = web.serve("/sitemap-2.xml", urlset(entry(links[1]), entry(links[2])))
    inner = web.serve(
        "/sitemap-inner.xml", index(second, f"{web.url}/sitemap_index.xml", f"{web.url}/sitemap-gone.xml")
    )
    outer = web.serve("/sitemap_index.xml", index(first, inner, f"{web.url}/robots.txt"))
    started, documents = finished(outer, author, open_settings)
    assert [document.link for document in documents] == [canonical(link) for link in links[:3]]
    assert started.skipped == {"duplicate": 1}
    assert [f"{failure.link}: {failure.reason}" for failure in started.failures] == [
        f"{web.url}/robots.txt: the server answered HTTP 404",
        f"{web.url}/sitemap-gone.xml: the server answered HTTP 404",
    ]


def test_what_is_no_article_is_left_out(web: Any, author: User, open_settings: Settings) -> None:
    web.serve("/posts/engines", article_page("Engines"))
    web.serve("/empty", "<html><body></body></html>")
    web.serve("/paper.pdf", b"%PDF-1.7", content_type="application/pdf")
    web.serve("/scripted", "<html><body><div id='root'></div><script>draw()</script></body></html>")
    paths = [
        "",
        "/",
        "/tag/looms/",
        "/blog/page/2/",
        "/categories",
        "/archives/",
        "/empty",
        "/paper.pdf",
        "/posts/engines",
    ]
    body = urlset(*(entry(f"{web.url}{path}") for path in (*paths, "/scripted")), entry("ftp://example.org/a"))
    settings = open_settings.model_copy(update={"crawl_browser": "never"})
    started, (document,) = finished(web.serve("/sitemap.xml", body), author, settings)
    assert document.title == "Engines"
    assert started.skipped == {"a list of pages": 6, "no text": 2}
    assert [failure.link for failure in started.failures] == [canonical(f"{web.url}/scripted"), "ftp://example.org/a"]


def test_what_has_not_changed_since_it_was_read_is_not_asked_for(
    web: Any, author: User, open_settings: Settings
) -> None:
    links = [web.serve_changing(f"/posts/{n}", article_page(f"Post {n}")) for n in range(3)]
    long_ago, tomorrow = "2024-03-05", (datetime.now(UTC) + timedelta(days=1)).isoformat()
    site = web.serve("/sitemap.xml", urlset(entry(links[0], long_ago), entry(links[1], tomorrow), entry(links[2])))
    _, first = finished(site, author, open_settings)
    del web.requests[:]
    _, second = finished(site, author, open_settings, marks(first))
    assert marks(second) == marks(first)
    assert sorted(path for path, _ in web.requests) == ["/posts/1", "/posts/2", "/sitemap.xml"]


def test_a_page_that_wants_to_be_asked_for_is(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve_changing("/posts/1", article_page("Post"), Cache_Control="max-age=0, must-revalidate")
    site = web.serve("/sitemap.xml", urlset(entry(link, "2024-03-05")))
    for _ in range(2):
        assert len(finished(site, author, open_settings)[1]) == 1
    assert [path for path, _ in web.requests].count("/posts/1") == 2


def test_what_fell_out_of_the_sitemap_is_read_again(web: Any, author: User, open_settings: Settings) -> None:
    links = [web.serve_changing(f"/posts/{n}", article_page(f"Post {n}")) for n in range(3)]
    _, first = finished(web.serve("/sitemap.xml", urlset(*map(entry, links))), author, open_settings)
    web.serve("/sitemap.xml", urlset(entry(links[0])))
    web.serve("/posts/2", "gone", 404)
    started, second = finished(f"{web.url}/sitemap.xml", author, open_settings, marks(first))
    assert [document.link for document in second] == [canonical(links[0])]
    assert started.unchanged == {canonical(links[1])}
    assert not started.failures


def test_a_large_sitemap_is_bounded_to_what_changed_last(web: Any, author: User, open_settings: Settings) -> None:
    for n in range(5):
        web.serve(f"/posts/{n}", article_page(f"Post {n}"))
    days = (datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(5))
    entries = [entry(f"{web.url}/posts/{n}", day.date().isoformat()) for n, day in enumerate(days)]
    others = [entry(f"{web.url}/other/{n}") for n in range(40_000)]
    site = web.serve("/sitemap.xml", urlset(*others, *entries))
    started, documents = finished(site, author, open_settings.model_copy(update={"crawl_max_pages": 3}))
    assert [document.title for document in documents] == ["Post 4", "Post 3", "Post 2"]
    assert started.skipped == {"beyond the first 3 (LLMTWIN_CRAWL_MAX_PAGES)": 40_002}


def test_an_index_without_end(web: Any, author: User, open_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "MOST_SITEMAPS", 3)
    web.serve("/posts/engines", article_page("Engines"))
    for n in range(9):
        web.serve(
            f"/sitemap-{n}.xml", index(f"{web.url}/sitemap-{n + 1}.xml").replace("</sitemapindex>", "</sitemapindex>")
        )
    started, documents = finished(f"{web.url}/sitemap-0.xml", author, open_settings)
    assert not documents
    assert len(web.requests) == 3
    assert "more than 3 sitemaps" in str(started.failures[0])


def test_a_bomb_is_not_unpacked(web: Any, author: User, open_settings: Settings) -> None:
    bomb = gzip.compress(urlset("<url><loc>", " " * 30_000_000).encode())
    settings = open_settings.model_copy(update={"crawl_max_page_bytes": 1_000_000})
    started, documents = finished(web.serve("/sitemap.xml.gz", bomb), author, settings)
    assert not documents
    assert "unpacked" in str(started.failures[0])


def test_entities_do_not_grow(web: Any, author: User, open_settings: Settings) -> None:
    lol = "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1};" * 10}">' for n in range(1, 10))
    secret = '<!ENTITY secret SYSTEM "file:///etc/passwd">'
    web.serve("/posts/engines", article_page("Engines"))
    body = urlset(entry("https://example.org/&lol9;"), entry("&secret;"), entry(f"{web.url}/posts/engines"))
    body = body.replace("<urlset", f'<!DOCTYPE urlset [<!ENTITY lol0 "lol">{lol}{secret}]><urlset', 1)
    started, documents = finished(web.serve("/sitemap.xml", body), author, open_settings)
    assert not documents
    assert "broken sitemap" in str(started.failures[0])
    assert all("root:" not in str(failure) and len(str(failure)) < 1000 for failure in started.failures)


def test_a_sitemap_that_breaks_off_is_read_as_far_as_it_goes(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve("/posts/engines", article_page("Engines"))
    body = urlset(entry(link), entry(link.replace("engines", "looms")))
    site = web.serve("/sitemap.xml", body[: body.index("looms")])
    assert [document.title for document in finished(site, author, open_settings)[1]] == ["Engines"]


def test_an_article_at_the_address_of_a_sitemap_is_an_article(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve("/sitemap.xml", article_page("What sitemaps are"))
    assert finished(link, author, open_settings)[1][0].title == "What sitemaps are"


def test_a_sitemap_of_an_unknown_address(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve("/posts/engines", article_page("Engines"))
    site = web.serve("/all-pages", urlset(entry(link)), content_type="application/xml")
    assert finished(site, author, open_settings)[1][0].title == "Engines"


def test_files_of_this_machine_are_not_read(web: Any, author: User, open_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{web.url}/posts/secret")
    secret = f'<!DOCTYPE urlset [<!ENTITY secret SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
    link = web.serve("/posts/engines", article_page("Engines"))
    body = urlset(entry("&secret;"), entry(link)).replace("<urlset", f"{secret}<urlset", 1)
    _, documents = finished(web.serve("/sitemap.xml", body), author, open_settings)
    assert [document.title for document in documents] == ["Engines"]
    assert "/posts/secret" not in [path for path, _ in web.requests]


@pytest.mark.parametrize(
    ("body", "content_type"), [("<?xml version='1.0'?><other/>", "application/xml"), ("<data>1</data>", "text/xml")]
)
def test_xml_of_another_kind(web: Any, author: User, open_settings: Settings, body: str, content_type: str) -> None:
    with pytest.raises(UnreadableError, match="XML"):
        crawl(web.serve("/sitemap.xml", body, content_type=content_type), author, open_settings)


def test_a_sitemap_that_is_gone_is_a_failure_as_a_whole(web: Any, author: User, open_settings: Settings) -> None:
    with pytest.raises(HttpStatusError, match="404"):
        crawl(f"{web.url}/sitemap.xml", author, open_settings)
