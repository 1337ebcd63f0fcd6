"""Pieces of HTML that hold nothing but an author's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtwin.sources.html_fragment import by_class, fragment_to_markdown, parse, words


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("", ""),
        ("Bare words.", "Bare words."),
        ("<h2>A</h2><p>One <b>two</b> <i>three</i> <code>f(x)</code>.</p>", "## A\n\nOne **two** *three* `f(x)`."),
        ("<ol><li>a</li><li>b<ul><li>c</li></ul></li></ol>", "1. a\n2. b\n   - c"),
        ("<blockquote><p>q</p></blockquote>", "> q"),
        ('<p><a href="https://example.org/a_b">a_b*c</a></p>', "[a_b*c](https://example.org/a_b)"),
        ("<pre><code class='language-go'>a\t b\n\n  c</code></pre>", "```go\na\t b\n\n  c\n```"),
        ("<pre>x&#1;y</pre><p>a\x01b&#2;c</p>", "```\nxy\n```\n\nabc"),
        ("<p>a\0b</p><!-- note --><script>alert(1)</script><style>p {}</style>", "ab"),
        ("<p>Grüße, 俳句, مرحبا 👋</p>", "Grüße, 俳句, مرحبا 👋"),
    ],
)
def test_nothing_of_it_is_lost_and_nothing_added(html: str, markdown: str) -> None:
    assert fragment_to_markdown(html) == markdown


def test_what_is_left_out_is_named_by_its_class() -> None:
    html = '<p>One.</p><div class="a box"><p>No.</p><p class="box">No.</p></div><p class="boxes">Two.</p>'
    assert fragment_to_markdown(html, leave_out=("box",)) == "One.\n\nTwo."


def test_relative_links_start_from_the_page() -> None:
    assert fragment_to_markdown('<a href="../b">b</a>', url="https://example.org/x/y") == "[b](https://example.org/b)"


def test_a_page_is_looked_up_by_class() -> None:
    tree = parse('<html><head><title>T</title></head><body><p class="x y">One\n two</p></body></html>')
    assert [words(element) for element in by_class(tree, "y")] == ["One two"]
    assert by_class(tree, "z") == []


@given(st.text())
def test_no_text_breaks_it(html: str) -> None:
    assert isinstance(fragment_to_markdown(html), str)
