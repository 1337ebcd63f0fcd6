"""What kind of answer an answer is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtwin.documents import User
from llmtwin.errors import SourceError, UnreadableError
from llmtwin.sources.feed import is_feed
from llmtwin.sources.page import Page
from llmtwin.sources.reading import read, web_article, xml_root
from llmtwin.sources.sitemap import is_sitemap

ADDRESS = "https://example.org/posts/engines"


def answer(content: bytes, content_type: str = "") -> Page:
    return Page(ADDRESS, content, content_type, None)


@pytest.mark.parametrize(
    ("content", "root"),
    [
        (b"<rss version='2.0'>", "rss"),
        (b"\xef\xbb\xbf \n<?xml version='1.0'?>\n<?xml-stylesheet href='x>'?><!-- <feed> --><feed>", "feed"),
        (b"<!DOCTYPE rss [<!ENTITY a '>'>\n<!ENTITY b ']'>]><rdf:RDF xmlns='x'>", "RDF"),
        (b"<!DOCTYPE html><html>", "html"),
        (b"text <rss>", ""),
        (b"", ""),
    ],
)
def test_the_root_element(content: bytes, root: str) -> None:
    assert xml_root(content) == root


@pytest.mark.parametrize(
    "content",
    [b"<?a?>" * 4000, b"<!---->" * 4000, b"<!DOCTYPE a>" * 4000, b"<!DOCTYPE [" * 4000, b"<!--" * 4000, b"<" * 20_000],
)
def test_hostile_beginnings_are_read_in_no_time(content: bytes) -> None:
    assert not is_feed(answer(content))
    assert not is_sitemap(answer(content))
    with pytest.raises(UnreadableError):
        read(ADDRESS, answer(content + b"\0", "application/xml"), "engines")


@settings(deadline=None)
@given(st.binary(), st.sampled_from(["", "text/html", "text/xml", "text/plain", "application/rss+xml"]))
def test_whatever_is_answered_is_an_article_or_an_error(content: bytes, content_type: str) -> None:
    page = answer(content, content_type)
    is_feed(page)
    is_sitemap(page)
    try:
        assert web_article(ADDRESS, page, User.named("Ada Lovelace")).content.strip()
    except SourceError as error:
        assert error.link == ADDRESS


WELCOME = b"<html><body><p>Welcome to all of my posts, of which there are many, and more to come.</p></body></html>"


def test_an_article_that_leads_to_the_front_page_is_none() -> None:
    with pytest.raises(UnreadableError, match="front page"):
        web_article(ADDRESS, Page("https://example.org/", WELCOME, "text/html", None), User.named("Ada Lovelace"))


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("https://example.org", "https://example.org/"),
        (ADDRESS, "https://example.org/?p=123"),
        ("https://short.example/x", "https://example.org/"),
    ],
)
def test_what_is_no_article_that_is_gone(asked: str, answered: str) -> None:
    page = Page(answered, WELCOME, "text/html", None)
    assert "Welcome" in web_article(asked, page, User.named("Ada Lovelace")).content
