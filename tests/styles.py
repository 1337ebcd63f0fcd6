"""Made-up authors who can be told apart by their function words, and datasets of what they wrote."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pyarrow as pa
import pyarrow.parquet as pq

from llmtwin.datasets import Dataset, slug
from llmtwin.datasets.dataset import FORMAT, MANIFEST
from llmtwin.datasets.rows import answer, prompt, schema
from llmtwin.documents import user_id
from llmtwin.files import write_json
from llmtwin.prompt import with_passages
from llmtwin.settings import Settings

ANA, BEN, NOBODY = "Ana Núñez", "Ben Okafor", "nobody"
# What each author likes to say between the words of the subject, which they share.
_HABITS = {
    ANA: ["i think that", "we should never", "because of this", "and so", "but then i", "for me it is", "which we"],
    BEN: ["the", "of the", "in the", "however the", "by means of", "is to be", "one may", "upon the", "there are"],
    NOBODY: ["you can", "here are some", "let's", "make sure to", "as an", "please", "will be able to", "your"],
}
_SUBJECT = [
    "model",
    "data",
    "index",
    "vector",
    "query",
    "chunk",
    "token",
    "graph",
    "batch",
    "stream",
    "store",
    "schema",
]


def write_as(author: str, words: int, seed: int) -> str:
    """Return about so many words in an author's style; the same for the same seed."""
    draw = random.Random(f"{author} {seed}")
    sentences: list[str] = []
    count = 0
    while count < words:
        parts = [f"{draw.choice(_HABITS[author])} {draw.choice(_SUBJECT)}" for _ in range(draw.randint(2, 4))]
        sentence = " ".join(parts)
        count += len(sentence.split())
        sentences.append(sentence[0].upper() + sentence[1:] + ".")
    return " ".join(sentences)


def save_dataset(
    settings: Settings, author: str, *, test_documents: int = 4, train_documents: int = 12, passages: bool = True
) -> Dataset:
    """Write a dataset of an author, with two texts of each document, and a prompt with passages of each test one."""
    documents = [_document(author, number) for number in range(train_documents + test_documents)]
    test = documents[train_documents:]
    with_them = [_with_passages(rows[0]) for rows in test] if passages else []
    splits: dict[str, Sequence[dict[str, Any]]] = {
        "train": [row for rows in documents[: train_documents - 1] for row in rows],
        "validation": documents[train_documents - 1] if train_documents else [],
        "test": [*(row for rows in test for row in rows), *with_them],
    }
    digest = hashlib.sha256(repr(splits).encode()).hexdigest()
    folder = settings.datasets / slug(author) / digest[:12]
    (folder / "sft").mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema("sft")), folder / "sft" / f"{split}.parquet")
    ids = {split: dict.fromkeys(row["document_id"] for row in rows) for split, rows in splits.items()}
    manifest = {
        "format": FORMAT,
        "author": author,
        "author_ids": [str(user_id(author))],
        "digest": digest,
        "documents": {split: [{"id": id_} for id_ in found] for split, found in ids.items()},
    }
    write_json(folder / MANIFEST, manifest)
    return Dataset(folder)


def _document(author: str, number: int) -> list[dict[str, Any]]:
    link = f"https://example.org/{slug(author)}/the-article-{number}"
    return [
        {
            "prompt": prompt(author, f"What do you say about part {position} of article {number}?"),
            "completion": answer(write_as(author, 150, 10 * number + position)),
            "type": "instruction",
            "kind": "article",
            "document_id": str(uuid5(NAMESPACE_URL, link)),
            "link": link,
            "author": author,
            "position": position,
            "published_at": datetime(2026, 1, 1 + number, tzinfo=UTC),
            "teacher": None,
        }
        for position in range(2)
    ]


def _with_passages(row: dict[str, Any]) -> dict[str, Any]:
    text = row["completion"][0]["content"]
    fenced = f"<passages-0123456789ab>\n[1] Article\n{text}\n</passages-0123456789ab>"
    asked = with_passages(row["prompt"][1]["content"], fenced)
    return row | {"prompt": prompt(row["author"], asked, has_passages=True), "type": "rag"}
