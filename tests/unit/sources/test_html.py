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


def article(body: str) -> str:
    """Return a page, most of which is not inside any element that would name it."""
    return f"<html><head><title>Mills</title></head><body><main>{TEXT}{body}{TEXT}</main></body></html>"


@pytest.mark.parametrize(
    ("piece", "markdown"),
    [
        ("<figure><img src='a.png'><figcaption>The <em>old</em> mill.</figcaption></figure>", "The *old* mill."),
        ("<figure><blockquote><p>Well said.</p></blockquote><figcaption>Ada</figcaption></figure>", "> Well said."),
        ("<blockquote><p>Well said.</p><footer>Ada, 1843</footer></blockquote>", "> Ada, 1843"),
        ("<blockquote>First.<p>Second.</p></blockquote>", "> First.\n>\n> Second."),
        ("<div class='admonition tip'><p class='admonition-title'>Tip</p><p>Oil it.</p></div>", "Tip\n\nOil it."),
        ("<h2><a class='toc-backref' href='#id1'>Gears</a><a class='headerlink' href='#g'>\uf0c1</a></h2>", "## Gears"),
        ("<h2>Gears<a class='hash-link' href='#g'>\u200b</a></h2>", "## Gears"),
        ("<ol><li>one</li></ol><ol start='2'><li>two</li></ol>", "1. one\n2. two"),
        ("<ul><li><input type='checkbox' checked disabled> done</li></ul>", "- [x] done"),
        ("<div class='highlight highlight-source-shell'><pre>ls</pre></div>", "```shell\nls\n```"),
    ],
)
def test_what_belongs_to_the_text_around_it_stays(piece: str, markdown: str) -> None:
    assert f"\n{markdown}\n" in extract(article(piece), "https://example.org/").markdown


def test_footnotes_stay_where_the_page_puts_them_into_an_aside() -> None:
    note = "<aside class='footnote' id='n' role='doc-footnote'><p>So it is. <a href='#r'>↩<sup>2</sup></a></p></aside>"
    html = article(f"<p>It is said.<a class='footnote-reference' href='#n' id='r'>1</a></p>{note}")
    markdown = extract(html, "https://example.org/").markdown
    assert "It is said.[^1]" in markdown
    assert "\n[^1]: So it is.\n" in markdown


@pytest.mark.parametrize(
    ("title", "heading"),
    [
        ("Caching | Otter", "Caching"),
        ("Caching – Otter Docs", "Caching"),
        ("Caching¶", 'Caching<a class="headerlink" href="#c">¶</a>'),
    ],
)
def test_a_title_is_without_the_name_of_the_site(title: str, heading: str) -> None:
    html = article("").replace("<main>", f"<main><h1>{heading}</h1>").replace("Mills", title.removesuffix("¶"))
    assert extract(html, "https://example.org/").title == "Caching"


def test_a_day_of_change_is_not_one_of_publication() -> None:
    html = article("<p>Last updated on <time itemprop='dateModified' datetime='2024-06-03'>Jun 3</time></p>")
    assert extract(html, "https://example.org/").published_at is None
