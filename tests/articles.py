"""Real articles of two authors in a feature store, and datasets of them.

``python tests/articles.py FOLDER`` builds a dataset of each author under the folder, with a Qdrant that it starts and
ends. Tests ask for the fixtures' settings and call `fill`; they mark themselves `needs_articles`.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llmtwin import vectors
from llmtwin.documents import CleanedDocument, Kind, RawArticle, RawDocument, User, content_hash, document_id
from llmtwin.features import embedder_for, encode_document, handler_for
from llmtwin.settings import Settings
from llmtwin.vectors.collections import DENSE, SPARSE, ensure_embedded

HOME = Path(__file__).resolve().parents[1]
ARTICLES = HOME.parent / "shared" / "data" / "articles.json"
MAXIME, PAUL = "Maxime Labonne", "Paul Iusztin"

needs_articles = pytest.mark.skipif(not ARTICLES.is_file(), reason=f"{ARTICLES} is not here")

_CRAWLED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* (\d{1,2}), (20\d\d)\b")
# The head of an article says when it was published; further down are comments, with days of their own.
_HEAD = 3_000


def main() -> None:
    """Build a dataset of each author."""
    from llmtwin.datasets import build
    from llmtwin.local.ports import free_port
    from llmtwin.local.servers import QdrantServer

    with tempfile.TemporaryDirectory() as folder:
        server = QdrantServer(Path(folder), free_port())
        try:
            server.start()
            server.wait_ready(60)
            settings = Settings(
                home=HOME,
                data_dir=Path(folder),
                models_dir=HOME / ".local" / "models",
                datasets_dir=Path(sys.argv[1]).absolute(),
                qdrant_url=server.url,
            )
            fill(settings, real_articles())
            for author in (MAXIME, PAUL):
                dataset = build(settings, author)
                print(dataset.reference, json.dumps(dataset.manifest["counts"]["sft"]), dataset.folder)
        finally:
            server.stop()


def real_articles(author: str | None = None) -> list[RawArticle]:
    """Return the real articles of an author, or of both, as a crawl would have found them."""
    return [
        _article(row["content"], row["author_full_name"], row["platform"], row["link"])
        for row in json.loads(ARTICLES.read_text())
        if row["content"]["Content"] and author in (None, row["author_full_name"])
    ]


def fill(settings: Settings, documents: Iterable[RawDocument], *, embed: bool = False, version: int = 1) -> None:
    """Put documents into the feature store as the pipeline does: cleaned, and on demand cut and embedded.

    MongoDB, RabbitMQ and Airflow are not needed. Embedding all real articles takes half a minute.
    """
    import pyarrow as pa

    cleaned = [handler_for(one.kind, settings).clean(one, version) for one in documents]
    rows = [{"op": "upsert", **one.model_dump(mode="json")} for one in cleaned]
    for kind in Kind:
        of_kind = [row for row in rows if row["kind"] == kind]
        if of_kind:
            vectors.publish_cleaned(pa.Table.from_pylist(of_kind), settings)
    if embed:
        for kind in Kind:
            _embed(settings, kind, [one for one in cleaned if one.kind is kind])


def _article(content: dict[str, str | None], author: str, platform: str, link: str) -> RawArticle:
    text = content["Content"] or ""
    date = _DATE.search(text, 0, _HEAD)
    published = datetime.strptime(f"{date[1]} {date[2]} {date[3]} +0000", "%b %d %Y %z") if date else None
    user = User.named(author)
    return RawArticle(
        id=document_id(Kind.ARTICLE, link),
        author_id=user.id,
        author_full_name=user.full_name,
        platform=platform,
        link=link,
        source_link=link,
        title=content["Title"],
        published_at=published,
        crawled_at=_CRAWLED_AT,
        content=text,
        content_hash=content_hash(text),
    )


def _embed(settings: Settings, kind: Kind, documents: Sequence[CleanedDocument]) -> None:
    from qdrant_client import models

    handler, embedder = handler_for(kind, settings), embedder_for(kind, settings)
    chunks = [chunk for document in documents for chunk in handler.chunk(document)]
    dense = embedder.embed([chunk.content for chunk in chunks])
    points = []
    for chunk, vector in zip(chunks, dense, strict=True):
        indices, values = encode_document(chunk.content)
        sparse = models.SparseVector(indices=indices, values=values)
        points.append(
            models.PointStruct(
                id=str(chunk.chunk_id),
                vector={DENSE: vector.tolist(), SPARSE: sparse},
                payload=chunk.model_dump(mode="json"),
            )
        )
    if points:
        with vectors.connect(settings) as client:
            client.upsert(ensure_embedded(client, kind, embedder.model_id, embedder.dimension), points, wait=True)


if __name__ == "__main__":
    main()
