"""LinkedIn's data export."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sources.exports.exports import AUTHOR, SHARES, linkedin, read, share, table, unpacked, zipped

from llmtwin.sources import ImportOptions

PLAIN = linkedin(
    share(7, "A post about herons."),
    share(6, ""),
    share(5, 'Two "quoted" words,\r\nand a second line.'),
)


def test_posts_and_articles(tmp_path: Path) -> None:
    documents, crawl = read(zipped(tmp_path / "export.zip", PLAIN))
    assert [(str(document.kind), document.content) for document in documents] == [
        ("post", "A post about herons."),
        ("post", 'Two "quoted" words,\nand a second line.'),
        ("article", "Herons stand **still**.\n\n### Why\n\n- Patience\n\n- Fish"),
    ]
    post, _, article = documents
    assert post.link == "https://www.linkedin.com/feed/update/urn:li:share:7"
    assert post.published_at == datetime(2024, 3, 5, 9, 30, tzinfo=UTC)
    assert (article.link, article.title) == ("https://www.linkedin.com/pulse/on-herons-ana", "On herons")
    assert article.published_at == datetime(2024, 2, 2, 11, 30, tzinfo=UTC)
    assert {(document.platform, document.source_link) for document in documents} == {
        ("linkedin.com", f"export:linkedin.com:{AUTHOR.id}")
    }
    assert crawl.skipped == {"re-share without a word": 1}
    assert crawl.failures == []
    assert not crawl.complete


def test_the_table_of_the_full_export_has_a_number_in_its_name(tmp_path: Path) -> None:
    members = {"Shares_155814142.csv": table(SHARES, [share(1, "Numbered.")])}
    documents, _ = read(zipped(tmp_path / "export.zip", members))
    assert [document.content for document in documents] == ["Numbered."]


@pytest.mark.parametrize(
    ("exported", "written"),
    [
        ('First."\n""\n"Second "so" to say.', 'First.\n\nSecond "so" to say.'),
        ('First."\n"Second."\n"', "First.\nSecond."),
        ('He said: "yes"\nand she: "no"', 'He said: "yes"\nand she: "no"'),
        ('"Reliability."\n\nThree things.', '"Reliability."\n\nThree things.'),
        ('"All of it."', '"All of it."'),
    ],
)
def test_the_quotation_marks_around_each_line_go_and_the_authors_own_stay(
    exported: str, written: str, tmp_path: Path
) -> None:
    documents, _ = read(zipped(tmp_path / "export.zip", {"Shares.csv": table(SHARES, [share(1, exported)])}))
    assert [document.content for document in documents] == [written]


def test_a_table_in_another_language_is_named_with_its_columns(tmp_path: Path) -> None:
    german = table(("Datum", "Link", "Kommentar"), [("2024-03-05", "https://x", "Hallo")])
    documents, crawl = read(zipped(tmp_path / "export.zip", linkedin() | {"Shares.csv": german}))
    assert [document.title for document in documents] == ["On herons"], "the articles are still read"
    [failure] = crawl.failures
    assert "export.zip!/Shares.csv" in failure.link
    assert "lacks the columns Date, ShareLink, ShareCommentary; it has 'Datum', 'Link', 'Kommentar'" in failure.reason
    assert "set the account's language to English" in failure.reason


@pytest.mark.parametrize(
    ("cut", "line"),
    [("2024-01-01 10:00:00,https://www.link", 3), ('2024-01-01 10:00:00,https://l/2,"And then', 3)],
)
def test_a_cut_off_table_is_read_as_far_as_it_goes(cut: str, line: int, tmp_path: Path) -> None:
    shares = table(SHARES, [share(1, "Whole.")]) + cut
    documents, crawl = read(zipped(tmp_path / "export.zip", {"Shares.csv": shares}))
    assert [document.content for document in documents] == ["Whole."]
    [failure] = crawl.failures
    assert failure.link.endswith("export.zip!/Shares.csv")
    assert f"line {line} is cut off or damaged" in failure.reason


def test_a_damaged_row_costs_itself(tmp_path: Path) -> None:
    rows = [share(1, "Before."), share(2, "Moved.", date="not a date"), ("one", "two"), share(3, "After.")]
    documents, crawl = read(zipped(tmp_path / "export.zip", {"Shares.csv": table(SHARES, rows)}))
    assert [document.content for document in documents] == ["Before.", "After."]
    assert ["line 3" in crawl.failures[0].reason, "line 4" in crawl.failures[1].reason] == [True, True]


def test_the_same_post_twice_is_one_document(tmp_path: Path) -> None:
    rows = [share(1, "The newer."), share(1, "The older."), ("2024-03-05 09:30:00", "", "Nowhere.", "", "", "")]
    documents, crawl = read(zipped(tmp_path / "export.zip", {"Shares.csv": table(SHARES, rows)}))
    assert [document.content for document in documents] == ["The newer."]
    assert crawl.skipped == {"duplicate": 1, "no link": 1}


def test_an_article_that_was_never_published_is_a_draft(tmp_path: Path) -> None:
    draft = "<html><body><h1>Later</h1><p class='created'>Created on 2024-02-01 10:00</p><div><p>Not yet.</p></div>"
    path = zipped(tmp_path / "export.zip", {"Shares.csv": table(SHARES, []), "Articles/later.html": draft})
    documents, crawl = read(path)
    assert documents == []
    assert crawl.skipped == {"draft": 1}
    [document], _ = read(path, ImportOptions(drafts=True))
    assert (document.title, document.content, document.published_at) == ("Later", "Not yet.", None)
    assert document.link == f"export:linkedin.com:{AUTHOR.id}/Articles/later.html"


def test_an_empty_article_and_one_in_no_encoding(tmp_path: Path) -> None:
    members = linkedin() | {"Articles/a.html": "", "Articles/b.html": b"\xff\xfe\x00\xd8\x00\xd8"}
    documents, crawl = read(zipped(tmp_path / "export.zip", members))
    assert len(documents) == 1
    assert crawl.skipped == {"draft": 1}
    assert ["b.html" in failure.link for failure in crawl.failures] == [True]


TEXTS = (
    st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1), min_size=1)
    .map(lambda lines: "\n".join(lines).strip())
    .filter(lambda text: text and '"\n"' not in text)  # looks like the marks that the export itself sets
)


@settings(deadline=None)  # it writes files
@given(
    st.lists(TEXTS, min_size=1, max_size=5), st.sampled_from(['"\n"', "\r\n", "\n"]), st.sampled_from(["", "\ufeff"])
)
def test_what_was_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], line_end: str, mark: str
) -> None:
    exported = (text.replace("\n", line_end) for text in texts)
    shares = mark + table(SHARES, [share(number, text) for number, text in enumerate(exported)])
    documents, crawl = read(unpacked(tmp_path_factory.mktemp("export"), {"Shares.csv": shares}))
    assert crawl.failures == []
    assert [document.content for document in documents] == texts
