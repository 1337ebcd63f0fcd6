"""Substack's export."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.sources.exports.exports import AUTHOR, SUBSTACK, read, substack, substack_row, table, zipped

from llmtwin.errors import SettingsError
from llmtwin.sources import ImportOptions

OWLS = """Owls hunt [at night](https://example.org/owl).

An owl, waiting

- Silence

- Ears

```sql
select  owl
  from  night
```"""


def test_a_post_without_buttons_and_forms(tmp_path: Path) -> None:
    [document], crawl = read(zipped(tmp_path / "export.zip", substack()))
    assert (str(document.kind), document.title, document.content) == ("article", "Owls", OWLS)
    assert document.published_at == datetime(2024, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    assert (document.platform, document.source_link) == ("substack.com", f"export:substack.com:{AUTHOR.id}")
    assert crawl.skipped == {"draft": 1, "podcast": 1}
    assert crawl.failures == []


def test_drafts_and_podcasts_come_when_asked_for(tmp_path: Path) -> None:
    documents, crawl = read(zipped(tmp_path / "export.zip", substack()), ImportOptions(drafts=True, podcasts=True))
    assert [document.title for document in documents] == ["Owls", "Later", "Talking"]
    assert crawl.skipped == {}


@pytest.mark.parametrize(
    ("site", "link"),
    [
        (None, "https://substack.com/home/post/p-101"),
        ("", "https://substack.com/home/post/p-101"),
        ("https://ana.substack.com", "https://ana.substack.com/p/owls"),
        ("ana.substack.com/", "https://ana.substack.com/p/owls"),
        ("HTTP://News.Example.org/archive", "https://news.example.org/p/owls"),
    ],
)
def test_where_a_post_is_on_the_web(site: str | None, link: str, tmp_path: Path) -> None:
    [document], _ = read(zipped(tmp_path / "export.zip", substack()), ImportOptions(site=site))
    assert document.link == link


@pytest.mark.parametrize("site", ["ana", "ftp://ana.substack.com", "https://", "https://[half"])
def test_what_is_no_site(site: str) -> None:
    with pytest.raises(SettingsError, match=r"no address of a publication"):
        ImportOptions(site=site)


def test_posts_that_link_to_each_other_say_where_the_publication_is(tmp_path: Path) -> None:
    see_also = '<p>Again: <a href="https://Ana.substack.com/p/owls?utm_source=x">owls</a>, and '
    stranger = '<a href="https://else.substack.com/p/something">another</a>,'
    stranger += ' <a href="http://ana.substack.com/p/more">more</a>.</p>'
    rows = [substack_row("101.owls"), substack_row("104.more")]
    members = {"posts.csv": table(SUBSTACK, rows), "posts/101.owls.html": "<p>Owls.</p>"}
    documents, _ = read(zipped(tmp_path / "a.zip", members | {"posts/104.more.html": see_also + stranger}))
    assert {document.link for document in documents} == {
        "https://ana.substack.com/p/owls",
        "https://ana.substack.com/p/more",
    }
    torn = see_also + '<a href="https://moved.example.org/p/owls">and</a></p>'
    documents, _ = read(zipped(tmp_path / "b.zip", members | {"posts/104.more.html": torn}))
    assert {document.link for document in documents} == {
        "https://substack.com/home/post/p-101",
        "https://substack.com/home/post/p-104",
    }


def test_a_page_that_is_missing_and_one_without_text(tmp_path: Path) -> None:
    rows = [substack_row("1.gone"), substack_row("2.bare"), substack_row("none"), substack_row("3.there")]
    members = {
        "posts.csv": table(SUBSTACK, rows),
        "posts/2.bare.html": '<p class="button-wrapper"><a href="x">Share</a></p>',
        "posts/3.there.html": "<p>There.</p>",
    }
    documents, crawl = read(zipped(tmp_path / "export.zip", members))
    assert [document.content for document in documents] == ["There."]
    assert crawl.skipped == {"empty": 1}
    reasons = {failure.link.rpartition("!/")[2]: failure.reason for failure in crawl.failures}
    assert reasons["posts/1.gone.html"] == "is not in the export"
    assert "line 4 has 'none' where a post_id belongs" in reasons["posts.csv"]


def test_a_table_with_other_columns_is_named_with_them(tmp_path: Path) -> None:
    members = substack() | {"posts.csv": table(("id", "titre"), [("101.owls", "Hiboux")])}
    documents, crawl = read(zipped(tmp_path / "export.zip", members))
    assert documents == []
    assert (
        "lacks the columns post_id, post_date, is_published, type, title; it has 'id', 'titre'"
        in crawl.failures[0].reason
    )
