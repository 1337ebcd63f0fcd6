"""Folders of Markdown and HTML files."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llmtwin.documents import RawArticle, User
from llmtwin.errors import UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import crawl

FOLDER = Path(__file__).parents[2] / "fixtures" / "sources" / "folder"


def test_a_folder_gives_its_articles_and_says_what_it_left_out(author: User, open_settings: Settings) -> None:
    started = crawl(str(FOLDER), author, open_settings)
    by_title = {document.title: document for document in started.documents}
    assert set(by_title) == {"Hello, wörld", "on the way"}

    hello = by_title["Hello, wörld"]
    assert isinstance(hello, RawArticle)
    assert hello.link == (FOLDER / "posts" / "hello.md").as_uri()
    assert hello.source_link == started.source_link == FOLDER.as_uri()
    assert hello.published_at == datetime(2024, 1, 2, tzinfo=UTC)
    assert (hello.author_full_name, hello.platform) == ("Ada Lovelace", "file")
    assert hello.content.endswith("```python\nif True:\n    pass\n```")
    assert by_title["on the way"].published_at == datetime(2023, 7, 14, tzinfo=UTC)

    assert started.skipped == {"draft": 1, "empty": 1}
    (failure,) = started.failures
    assert failure.link == (FOLDER / "posts" / "broken.md").as_uri()
    assert not started.complete  # so that nobody takes the broken file for a deleted one


def test_the_same_folder_twice_is_the_same_documents(author: User, open_settings: Settings) -> None:
    first, second = (
        [(document.id, document.content_hash) for document in crawl(link, author, open_settings).documents]
        for link in (str(FOLDER), f"{FOLDER.as_uri()}/")
    )
    assert first == second


def test_hostile_and_foreign_files(tmp_path: Path, author: User, open_settings: Settings) -> None:
    (tmp_path / "latin.md").write_bytes("Où est le café ? Là-bas, à côté de la forêt. ".encode("latin-1") * 5)
    (tmp_path / "two\nlines #1.md").write_text("named strangely")
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_text("named in Latin-1")
    (tmp_path / "binary.md").write_bytes(b"\x00\x81\xfe\xff" * 100)
    (tmp_path / "link.md").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "large.md").write_text("x" * 2_000_000)

    started = crawl(str(tmp_path), author, open_settings.model_copy(update={"crawl_max_page_bytes": 1_000_000}))
    contents = {document.link: document.content for document in started.documents}
    assert len(contents) == 3
    assert contents[f"{tmp_path.as_uri()}/two%0Alines%20%231.md"] == "named strangely"
    assert contents[f"{tmp_path.as_uri()}/caf%E9.md"] == "named in Latin-1"
    assert contents[f"{tmp_path.as_uri()}/latin.md"].startswith("Où est le café ?")
    assert {Path(failure.link).name for failure in started.failures} == {"binary.md", "pipe.md", "large.md"}
    assert started.skipped == {"symlink": 1}


def test_complete_when_all_was_seen(tmp_path: Path, author: User, open_settings: Settings) -> None:
    (tmp_path / "a.md").write_text("text")
    started = crawl(str(tmp_path), author, open_settings)
    assert not started.complete
    assert len(list(started.documents)) == 1
    assert started.complete


def test_a_file_that_vanishes_meanwhile(tmp_path: Path, author: User, open_settings: Settings) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("text")
    started = crawl(str(tmp_path), author, open_settings)
    next(started.documents)
    (tmp_path / "b.md").unlink()
    assert list(started.documents) == []
    assert [failure.link for failure in started.failures] == [(tmp_path / "b.md").as_uri()]


def test_a_folder_without_markdown(tmp_path: Path, author: User, open_settings: Settings) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(UnreadableError, match="no Markdown file"):
        crawl(str(tmp_path), author, open_settings)


def test_no_such_folder(tmp_path: Path, author: User, open_settings: Settings) -> None:
    with pytest.raises(UnreachableError, match=r"nowhere.*No such file"):
        crawl(str(tmp_path / "nowhere"), author, open_settings)


def test_a_text_that_says_where_it_is_published_is_that_document(
    tmp_path: Path, author: User, open_settings: Settings
) -> None:
    front_matter = "---\ntitle: Rivers\ncanonical_url: https://Medium.com/@ada/rivers-0123456789ab?source=x\n---\n"
    (tmp_path / "a.md").write_text(f"{front_matter}Text.\n")
    (tmp_path / "b.md").write_text("---\ncanonical: /rivers\n---\nText.\n")
    (tmp_path / "copy.md").write_text(f"{front_matter}An older text.\n")
    (tmp_path / "c.html").write_text(
        '<!doctype html><html><head><title>Lakes</title><link rel="canonical" href="https://ada.example/lakes/"></head>'
        "<body><article><h1>Lakes</h1><p>Lakes lie where water finds no way on, and they wait there for the rain."
        "</p></article></body></html>"
    )
    started = crawl(str(tmp_path), author, open_settings)
    documents = {document.link: document for document in started.documents}
    assert started.skipped == {"duplicate": 1}
    assert {link: document.platform for link, document in documents.items()} == {
        "https://medium.com/@ada/rivers-0123456789ab": "medium.com",
        (tmp_path / "b.md").as_uri(): "file",
        "https://ada.example/lakes": "ada.example",
    }
    assert documents["https://ada.example/lakes"].title == "Lakes"
    assert "Lakes lie where water" in documents["https://ada.example/lakes"].content


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_a_site_of_jekyll(tmp_path: Path, author: User, open_settings: Settings) -> None:
    write(
        tmp_path,
        {
            "_config.yml": "title: Ada\n",
            "_posts/2024-03-05-on-rivers.md": "---\ndate: 2024-03-05 10:30:00 +0100\n---\nRivers bend.\n",
            "_posts/2024-03-06-on-lakes.html": "---\nlayout: post\n---\n<p>Lakes <em>wait</em>.</p>\n",
            "_posts/2024-03-07-no.md": "---\npublished: false\n---\nNot yet.\n",
            "_drafts/later.md": "Half a thought.\n",
            "_site/2024/03/05/on-rivers.html": "<html><body><p>Rivers bend.</p></body></html>",
            "_layouts/post.html": "<html><body>{{ content }}</body></html>",
            "node_modules/x/README.md": "Not mine.\n",
        },
    )
    started = crawl(str(tmp_path), author, open_settings)
    rivers, lakes = started.documents
    assert (rivers.title, rivers.content) == ("on rivers", "Rivers bend.")
    assert rivers.published_at == datetime(2024, 3, 5, 9, 30, tzinfo=UTC)
    assert (lakes.title, lakes.content) == ("on lakes", "Lakes *wait*.")
    assert lakes.published_at == datetime(2024, 3, 6, tzinfo=UTC)
    assert started.skipped == {"draft": 2}
    assert started.complete


def test_a_site_of_hugo(tmp_path: Path, author: User, open_settings: Settings) -> None:
    write(
        tmp_path,
        {
            "hugo.toml": "baseURL = 'https://ada.example/'\n",
            "content/_index.md": "---\ntitle: Home\n---\n",
            "content/posts/on-rivers/index.md": "+++\ndate = 2024-03-05T10:30:00+01:00\n+++\nRivers bend.\n",
            "content/posts/2024-03-06-on-lakes/index.md": "Lakes wait.\n",
            "content/posts/later.md": "---\ndraft: true\n---\nHalf a thought.\n",
            "public/posts/on-rivers/index.html": "<html><body><p>Rivers bend.</p></body></html>",
            "themes/paper/README.md": "Not mine.\n",
            "archetypes/default.md": "---\ntitle: '{{ .Name }}'\n---\nText.\n",
        },
    )
    started = crawl(str(tmp_path), author, open_settings)
    lakes, rivers = started.documents
    assert (lakes.title, lakes.published_at) == ("on lakes", datetime(2024, 3, 6, tzinfo=UTC))
    assert (rivers.title, rivers.published_at) == ("on rivers", datetime(2024, 3, 5, 9, 30, tzinfo=UTC))
    assert started.skipped == {"draft": 1, "empty": 1}


def test_html_without_text_and_in_broken_encoding(tmp_path: Path, author: User, open_settings: Settings) -> None:
    (tmp_path / "empty.html").write_text("<!doctype html><html><body></body></html>")
    (tmp_path / "broken.html").write_bytes(b"<p>Some words that can be read, and then \xe9\xff\x81.</p>" * 3)
    (tmp_path / "none.html").write_bytes(b"\xff\xfe\x00\xd8\x00\xd8")
    started = crawl(str(tmp_path), author, open_settings)
    documents = list(started.documents)
    assert all("Some words that can be read" in document.content for document in documents)
    assert started.skipped == {"empty": 1}
    assert (tmp_path / "none.html").as_uri() in {failure.link for failure in started.failures}
