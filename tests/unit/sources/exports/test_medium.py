"""Medium's export."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.unit.sources.exports.exports import AUTHOR, MEDIUM_STORY, medium, medium_page, read, zipped

from llmtwin.sources import ImportOptions

STORY = """Rivers *bend*, see [the maps](https://example.org/maps).

#### Measured

> Nothing flows straight.

```python
def bend(x):
    if  x:

        return  x
```"""


def test_a_story_and_a_response(tmp_path: Path) -> None:
    documents, crawl = read(zipped(tmp_path / "medium-export.zip", medium()))
    story, response = documents
    assert (str(story.kind), story.title, story.content) == ("article", "On rivers", STORY)
    assert story.link == "https://medium.com/@ana/on-rivers-0123456789ab"
    assert story.published_at == datetime(2023, 6, 1, 8, 0, 0, 123_000, tzinfo=UTC)
    assert (str(response.kind), response.title) == ("post", None)
    assert response.content == "I agree with this, all of it."
    assert {(document.platform, document.source_link) for document in documents} == {
        ("medium.com", f"export:medium.com:{AUTHOR.id}")
    }
    assert crawl.skipped == {"draft": 1}
    assert crawl.failures == []


def test_a_draft_that_is_asked_for_has_mediums_short_link_and_no_date(tmp_path: Path) -> None:
    documents, crawl = read(zipped(tmp_path / "medium-export.zip", medium()), ImportOptions(drafts=True))
    [draft] = [document for document in documents if document.link == "https://medium.com/p/abcdef012345"]
    assert (draft.content, draft.published_at) == ("Half a thought.", None)
    assert crawl.skipped == {}


def test_a_story_whose_original_is_elsewhere_keeps_that_link(tmp_path: Path) -> None:
    page = medium_page("On rivers", MEDIUM_STORY, canonical="https://ana.example.org/rivers/?source=export")
    documents, _ = read(zipped(tmp_path / "e.zip", {"posts/2023-06-01_On-rivers-0123456789ab.html": page}))
    assert [document.link for document in documents] == ["https://ana.example.org/rivers"]


def test_names_that_real_exports_have(tmp_path: Path) -> None:
    names = ["posts/2019-01-01_-----0123456789ab.html", "posts/2019-01-02_俳句について-0123456789ac.html"]
    pages = {
        name: medium_page("T", MEDIUM_STORY, canonical=f"https://medium.com/p/{number}")
        for number, name in enumerate(names)
    }
    documents, _ = read(zipped(tmp_path / "e.zip", pages))
    assert len(documents) == 2


def test_pages_without_a_story_cost_themselves(tmp_path: Path) -> None:
    pages = medium() | {
        "posts/2023-08-01_Broken-bbbbbbbbbbbb.html": "<html><body><h1>Nothing</h1>",
        "posts/2023-08-02_Empty-cccccccccccc.html": medium_page("Empty", "", canonical="https://medium.com/p/c"),
        "posts/2023-08-03_Bytes-dddddddddddd.html": b"\xff\xfe\x00\xd8\x00\xd8",
    }
    documents, crawl = read(zipped(tmp_path / "e.zip", pages))
    assert len(documents) == 2
    assert crawl.skipped == {"draft": 1, "empty": 1}
    reasons = {failure.link.rpartition("/")[2]: failure.reason for failure in crawl.failures}
    assert "holds no story" in reasons["2023-08-01_Broken-bbbbbbbbbbbb.html"]
    assert "encoding" in reasons["2023-08-03_Bytes-dddddddddddd.html"]


def test_a_page_in_broken_utf8_is_still_read(tmp_path: Path) -> None:
    page = medium_page("On rivers", "<h3>R</h3><p>Caf\u00e9 au bord de l'eau. " + "Mot " * 900 + "</p>").encode()
    damaged = page.replace("é".encode(), b"\xc3", 1)
    [document], crawl = read(zipped(tmp_path / "e.zip", {"posts/2023-06-01_R-0123456789ab.html": damaged}))
    assert "au bord de l'eau" in document.content
    assert crawl.failures == []


def test_elements_nested_without_end(tmp_path: Path) -> None:
    deep = "<div>" * 20_000 + "deep" + "</div>" * 20_000
    page = medium_page("On rivers", "<h3>R</h3><p>Some words.</p>" + deep)
    documents, crawl = read(zipped(tmp_path / "e.zip", {"posts/2023-06-01_R-0123456789ab.html": page}))
    assert "Some words." in documents[0].content
    assert crawl.failures == []
