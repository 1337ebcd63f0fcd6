"""From raw to chunks, one handler for each kind."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from llmtwin.documents import (
    RAW_TYPES,
    CleanedRepositoryFile,
    Kind,
    RawDocument,
    RepositoryChunk,
    chunk_id,
    content_hash,
    document_id,
)
from llmtwin.errors import NoTextError
from llmtwin.features import handler_for
from llmtwin.settings import Settings

SETTINGS = Settings()


def raw(kind: Kind, content: str, **more: Any) -> RawDocument:
    link = "https://example.org/a"
    if kind is Kind.REPOSITORY:
        more = {"repository_id": uuid4(), "path": "a.py", "language": "python", "blob_id": "0" * 40} | more
    return RAW_TYPES[kind](
        id=document_id(kind, link), author_id=uuid4(), author_full_name="Ana", platform="example.org", link=link,
        source_link=link, crawled_at=datetime.now(UTC), content=content, content_hash=content_hash(content), **more,
    )  # fmt: skip


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_one_handler_per_process(kind: Kind) -> None:
    assert handler_for(kind, SETTINGS).kind is kind
    assert handler_for(kind, SETTINGS) is handler_for(kind, Settings())


@pytest.mark.parametrize("kind", Kind)
def test_a_cleaned_document_is_the_raw_one_with_its_text_cleaned(kind: Kind) -> None:
    document = raw(kind, "“Hello”\r\nworld", title="T")
    cleaned = handler_for(kind, SETTINGS).clean(document, version=7)
    assert cleaned.content == ("“Hello”\nworld" if kind is Kind.REPOSITORY else '"Hello"\nworld')
    assert cleaned.content_hash == content_hash(cleaned.content)
    assert (cleaned.document_id, cleaned.version, cleaned.title) == (document.id, 7, "T")


@pytest.mark.parametrize("kind", [Kind.POST, Kind.ARTICLE])
def test_a_document_without_text_is_refused_with_its_link(kind: Kind) -> None:
    with pytest.raises(NoTextError, match=r"https://example\.org/a") as caught:
        handler_for(kind, SETTINGS).clean(raw(kind, "\u200b \u00ad"), version=1)
    assert isinstance(caught.value, ValueError)


def test_settings_decide_about_emoji_and_urls() -> None:
    document = raw(Kind.POST, "Look 👍 https://a.b")
    assert handler_for(Kind.POST, SETTINGS).clean(document, 1).content == document.content
    dropping = Settings(clean_drop_emoji=True, clean_drop_urls=True)
    assert handler_for(Kind.POST, dropping).clean(document, 1).content == "Look"


@pytest.mark.parametrize("kind", Kind)
def test_chunks_are_numbered_named_and_stamped(kind: Kind) -> None:
    handler = handler_for(kind, SETTINGS)
    cleaned = handler.clean(raw(kind, "\n\n".join(f"Sentence number {n} says something." for n in range(200))), 3)
    chunks = handler.chunk(cleaned)
    assert len(chunks) > 3
    assert [chunk.position for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert chunk.chunk_id == chunk_id(cleaned.document_id, chunk.position)
        assert chunk.content in cleaned.content
        assert chunk.content_hash == content_hash(chunk.content)
        assert chunk.embedding_model == handler.model_id
        assert (chunk.version, chunk.link) == (3, cleaned.link)
    assert handler.chunk(cleaned) == chunks


def test_code_chunks_know_their_lines() -> None:
    source = "\n\n".join(f"def f{n}(x):\n    return x * {n} + some_constant" for n in range(100)) + "\n"
    handler = handler_for(Kind.REPOSITORY, SETTINGS)
    cleaned = handler.clean(raw(Kind.REPOSITORY, source), 1)
    lines = source.splitlines()
    for chunk in handler.chunk(cleaned):
        assert isinstance(chunk, RepositoryChunk)
        assert isinstance(cleaned, CleanedRepositoryFile)
        assert (chunk.path, chunk.language, chunk.repository_id) == ("a.py", "python", cleaned.repository_id)
        assert chunk.content == "\n".join(lines[chunk.start_line - 1 : chunk.end_line])


def test_cleaning_and_chunking_import_no_model_runtime() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_handlers import *\n"
        "h = handler_for(Kind.ARTICLE, SETTINGS); h.chunk(h.clean(raw(Kind.ARTICLE, 'Hello world. ' * 500), 1))\n"
        "print(*{'torch', 'transformers', 'sentence_transformers', 'openvino'} & set(sys.modules))"
    )
    folder = __file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
