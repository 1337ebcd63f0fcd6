"""HTML to Markdown."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from llmtwin.sources.html import extract, fragment

PAGES = Path(__file__).parents[2] / "fixtures" / "sources" / "article"
TEXT = "<p>This paragraph is here so that there is an article around the code, and it has a good many words in it.</p>"


def page(name: str) -> str:
    return (PAGES / name).read_text()


def test_a_blog_post_word_for_word() -> None:
    found = extract(page("blog.html"), "https://blog.example.org/post")
    assert found.title == "Écrire un analyseur"
    assert found.published_at == datetime(2024, 3, 5, 10, tzinfo=UTC)
    assert [line.rstrip() for line in found.markdown.splitlines()] == page("blog.md").splitlines()


def test_what_surrounds_the_article_is_left_out() -> None:
    markdown = extract(page("blog.html"), "https://blog.example.org/post").markdown
    for noise in ("Accueil", "cookies", "newsletter", "Copyright"):
        assert noise not in markdown


def test_japanese_comes_through() -> None:
    found = extract(page("japanese.html"), "https://example.jp/")
    assert found.title == "俳句について"
    assert "古池や蛙飛びこむ水の音。この句は、静けさと音の対比によって" in found.markdown


def test_a_page_drawn_by_a_script_has_no_text() -> None:
    assert extract(page("script.html"), "https://example.org/").markdown == ""


@pytest.mark.parametrize("html", ["", "   ", "<html></html>", "\0", "<!-- nothing -->"])
def test_pages_without_anything(html: str) -> None:
    assert extract(html, "https://example.org/").markdown == ""


def test_a_login_form_is_seen() -> None:
    assert extract(page("login.html"), "https://example.org/").asks_for_password


@pytest.mark.parametrize(
    ("block", "fenced"),
    [
        ("<pre>\n\n    first\n\n\n  second  \n</pre>", "```\n    first\n\n\n  second  \n```"),
        ("<pre><code class='hljs language-c++'>int  x;</code></pre>", "```c++\nint  x;\n```"),
        ("<pre class='brush: js'>a  b</pre>", "```js\na  b\n```"),
        ("<div class='highlight' data-lang='go'><pre>a\tb</pre></div>", "```go\na\tb\n```"),
        ("<pre>```\nnested\n```</pre>", "````\n```\nnested\n```\n````"),
        ("<pre>a\\1b \\g&lt;0&gt;</pre>", "```\na\\1b \\g<0>\n```"),
        ("<div><div><pre>a  b</pre></div><a href='/run'>Run code</a><button>Copy</button></div>", "```\na  b\n```"),
        ("<ul><li>an item of a list<pre>in  it</pre></li><li>another item</li></ul>", "  ```\n  in  it\n  ```"),
        ("<blockquote><p>a quoted sentence</p><pre>in  it</pre></blockquote>", "> ```\n> in  it\n> ```"),
    ],
)
def test_code_stays_as_it_is(block: str, fenced: str) -> None:
    html = f"<html><body><article><h1>Title</h1>{TEXT}{block}{TEXT}</article></body></html>"
    assert f"\n{fenced}\n" in extract(html, "https://example.org/").markdown


def test_code_next_to_text_in_the_same_element_loses_neither() -> None:
    html = f"<html><body><article>{TEXT}<div>before<pre>x  =  1</pre>after</div>{TEXT}</article></body></html>"
    markdown = extract(html, "https://example.org/").markdown
    assert markdown.index("before") < markdown.index("```\nx  =  1\n```") < markdown.index("after")


def test_links_can_be_followed_and_those_into_the_page_are_plain_text() -> None:
    links = '<a href="../b?c=1">up</a>, <a href="//other.example/x">over</a>, <a href="#note">down</a>, <a href="http://[">no</a>'
    heading = '<h2 id="s">Section<a class="headerlink" href="#s">¶</a></h2>'
    html = f"<html><body><article>{TEXT}{heading}<p>Some links: {links} and the end.</p>{TEXT}</article></body></html>"
    lines = extract(html, "https://example.org/a/page").markdown.splitlines()
    assert "## Section" in lines
    (line,) = (line for line in lines if line.startswith("Some links"))
    assert "[up](https://example.org/b?c=1), [over](https://other.example/x), down, " in line

    local = extract(html, "file:///home/ada/page.html").markdown
    assert "/home/ada" not in local
    assert "[up](../b?c=1)" in local


def test_code_of_what_is_left_out_does_not_come_back() -> None:
    html = f"<html><body><nav><pre>menu  code</pre></nav><article><h1>T</h1>{TEXT}</article></body></html>"
    assert "menu" not in extract(html, "https://example.org/").markdown


def test_a_fragment_is_taken_as_it_is_but_for_boxes_of_the_platform() -> None:
    html = (
        "<p>Only a few words, <a href='/p/1'>one link</a>.</p>"
        "<div class='subscription-widget-wrap'><p>Thanks for reading!</p><a href='/s'>Subscribe</a></div>"
        "<blockquote><p>Quoted.</p></blockquote>"
    )
    markdown = fragment(html, "https://ada.example/")
    assert markdown == "Only a few words, [one link](https://ada.example/p/1).\n\n> Quoted."


@pytest.mark.parametrize("html", ["", " ", "\0", "<!-- nothing -->", "<script>alert(1)</script>"])
def test_a_fragment_without_text(html: str) -> None:
    assert fragment(html) == ""
