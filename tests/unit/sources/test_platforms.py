"""What pages say about themselves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtwin.sources.platforms import front_page, identify, platform_of

PAGE = "<html><head>{}</head><body><p>text</p></body></html>"
ADDRESS = "https://blog.example.org/posts/engines?ref_src=x"


def canonical(href: str) -> str:
    return PAGE.format(f'<link rel="canonical" href="{href}">')


@pytest.mark.parametrize(
    ("href", "link"),
    [
        ("https://blog.example.org/posts/engines/", "https://blog.example.org/posts/engines"),
        ("http://www.example.org/engines?b=1&amp;a=2&amp;utm_source=x", "https://www.example.org/engines?a=2&b=1"),
        ("/engines", "https://blog.example.org/engines"),
        ("//other.example/engines", "https://other.example/engines"),
        ("  https://medium.com/@ada/engines-0123456789ab  ", "https://medium.com/@ada/engines-0123456789ab"),
        # What all pages of a badly set up site share names none of them.
        ("https://blog.example.org/", "https://blog.example.org/posts/engines"),
        ("/", "https://blog.example.org/posts/engines"),
        ("", "https://blog.example.org/posts/engines"),
        ("javascript:void(0)", "https://blog.example.org/posts/engines"),
        ("https://[half", "https://blog.example.org/posts/engines"),
    ],
)
def test_a_page_is_named_by_the_address_it_gives_itself(href: str, link: str) -> None:
    assert identify(canonical(href), ADDRESS, ADDRESS).link == link


def test_a_front_page_may_call_itself_that() -> None:
    assert identify(canonical("https://example.org/"), "http://www.example.org", "http://www.example.org/").link == (
        "https://example.org"
    )


@pytest.mark.parametrize(
    ("head", "address", "platform"),
    [
        ("", "https://ada.medium.com/engines", "medium.com"),
        ("", "https://ada.substack.com/p/engines", "substack.com"),
        ("", "https://notmedium.com/engines", "notmedium.com"),
        ('<meta property="al:android:package" content="com.medium.reader">', ADDRESS, "medium.com"),
        ('<script src="https://substackcdn.com/bundle/main.js"></script>', ADDRESS, "substack.com"),
        ('<link rel="stylesheet" href="https://substackcdn.com/main.css">', ADDRESS, "substack.com"),
        ("", ADDRESS, "blog.example.org"),
    ],
)
def test_platforms_on_domains_of_their_own(head: str, address: str, platform: str) -> None:
    assert identify(PAGE.format(head), address, address).platform == platform


def test_a_picture_from_substack_makes_no_publication() -> None:
    page = PAGE.replace("text", '<img src="https://substackcdn.com/image/fetch/x.png">')
    assert identify(page, ADDRESS, ADDRESS).platform == "blog.example.org"


def test_the_front_page_names_its_first_feed() -> None:
    head = (
        '<link rel="alternate" type="application/json+oembed" href="/oembed">'
        '<link rel="alternate" type="application/rss+xml" href="https://[half">'
        '<link rel="alternate" type="application/atom+xml" href="atom.xml">'
        '<link rel="alternate" type="application/rss+xml" href="/comments/feed">'
    )
    assert front_page(PAGE.format(head), "https://example.org/").feed == "https://example.org/atom.xml"
    assert front_page(PAGE.format(""), "https://example.org/").feed is None


def test_platform_of_a_link() -> None:
    assert platform_of("https://ada.medium.com/x") == "medium.com"
    assert platform_of("https://ada.substack.com/p/x") == "substack.com"
    assert platform_of("https://example.org/x") == "example.org"
    assert platform_of("https://[half") == ""


@settings(deadline=None)
@given(st.text(), st.text())
def test_whatever_a_page_says(head: str, href: str) -> None:
    for page in (head, PAGE.format(head), canonical(href)):
        assert identify(page, ADDRESS, ADDRESS).link
        assert front_page(page, "https://example.org/").platform
