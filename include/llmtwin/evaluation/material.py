"""What is measured on: the held-out texts of a dataset, and other authors' text as the yardstick."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import UUID

from llmtwin.datasets import Dataset, datasets
from llmtwin.datasets.source import author_name, read_documents
from llmtwin.documents import CleanedDocument
from llmtwin.errors import DatasetError, EvaluationError, VectorStoreError
from llmtwin.evaluation.authorship import Sample
from llmtwin.evaluation.grounding import passages_in
from llmtwin.evaluation.words import prose
from llmtwin.settings import Settings

# The author's own words answer these; the teacher's are not the author's.
OWN_WORDS = "instruction"
WITH_PASSAGES = "rag"
_HELD_OUT = 0.2
Item = TypeVar("Item")


@dataclass(frozen=True)
class Prompt:
    """A row of a dataset's test split.

    Attributes:
        messages: System and user.
        text: What the author wrote in answer.
        document: The document's id.
        link: Where it was published.
        passages: What the user's message gives to answer from; None without.
    """

    messages: tuple[dict[str, str], ...]
    text: str
    document: str
    link: str | None
    passages: str | None

    @property
    def title(self) -> str:
        """The document's name, as far as its link tells."""
        return title_of(self.link) or self.document

    @property
    def asked(self) -> str:
        """The user's words, without the passages."""
        content = self.messages[-1]["content"]
        return content.rpartition("</passages-")[2].partition(">")[2].strip() if self.passages else content


@dataclass(frozen=True)
class OtherAuthor:
    """Somebody else's text.

    Attributes:
        name: Full name.
        source: Where it is from: a dataset's reference, or the feature store.
        training: To learn the difference from.
        held_out: To measure on.
    """

    name: str
    source: str
    training: list[Sample] = field(default_factory=list)
    held_out: list[Sample] = field(default_factory=list)


def held_out(
    dataset: Dataset, limit: int, seed: int, type_: str = OWN_WORDS, *, without: Set[str] = frozenset()
) -> list[Prompt]:
    """Return test rows of a type, spread evenly over the documents; the same for the same seed.

    Args:
        dataset: Whose.
        limit: How many at most.
        seed: Draws them.
        type_: Of the rows.
        without: Ids of documents that are left out.

    Raises:
        DatasetError: The dataset has no test split, or it is damaged.
    """
    rows = [row for row in _rows(dataset, type_) if str(row["document_id"]) not in without]
    chosen = spread(rows, lambda row: str(row["document_id"]), seed)[:limit]
    return [_prompt(row) for row in chosen]


def held_out_documents(dataset: Dataset) -> frozenset[str]:
    """Return the ids of the test documents with the author's own words.

    Raises:
        DatasetError: The dataset has no test split, or it is damaged.
    """
    return frozenset(str(row["document_id"]) for row in _rows(dataset, OWN_WORDS))


def require_held_out(dataset: Dataset, limit: int, seed: int, *, without: Set[str] = frozenset()) -> list[Prompt]:
    """Return what `held_out` does.

    Raises:
        EvaluationError: There are no test documents with the author's own words.
        DatasetError: The dataset is damaged.
    """
    prompts = held_out(dataset, limit, seed, without=without)
    if not prompts:
        raise EvaluationError(
            f"{dataset.reference} holds no test document in the author's own words: build it from more documents "
            "(the newest are held out for tests), or name another with --dataset"
        )
    return prompts


def training_texts(dataset: Dataset) -> list[Sample]:
    """Return all texts in the author's own words that a model may have been trained on."""
    rows = [row for split in ("train", "validation") for row in dataset.rows(split)]
    # In the first format, some of the author's words stood behind passages alone.
    own = {OWN_WORDS, WITH_PASSAGES} if dataset.manifest["format"] == 1 else {OWN_WORDS}
    return _samples(row for row in rows if row["type"] in own)


def other_authors(settings: Settings, dataset: Dataset) -> list[OtherAuthor]:
    """Return the text of all other authors: of their newest datasets, else of the feature store; none where none is.

    Whose dataset it is, in whatever spelling, is no other author, and of everybody's nobody in it is.
    """
    own = author_ids(dataset)
    newest = {one.name: one for one in datasets(settings) if one.author is not None}
    found = [_from_dataset(one) for one in newest.values() if not author_ids(one) & own]
    return [one for one in found or _from_feature_store(settings, dataset) if one.training and one.held_out]


def author_ids(dataset: Dataset) -> frozenset[UUID]:
    """Return the ids of all authors of a dataset."""
    return frozenset(UUID(id_) for id_ in dataset.manifest["author_ids"])


def spread(items: Iterable[Item], group: Callable[[Item], str], seed: int) -> list[Item]:
    """Return all items, one of each group in turn, the groups and the items of each in an order drawn by ``seed``."""
    draw = random.Random(seed)
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    piles = [groups[name] for name in sorted(groups)]
    for pile in piles:
        draw.shuffle(pile)
    draw.shuffle(piles)
    return [pile[turn] for turn in range(max(map(len, piles), default=0)) for pile in piles if turn < len(pile)]


def title_of(link: str | None) -> str:
    """Return the last part of a link's path as words."""
    name = PurePosixPath(unquote(urlsplit(link or "").path)).name
    return " ".join(name.replace("-", " ").replace("_", " ").split())


def _rows(dataset: Dataset, type_: str) -> list[dict[str, Any]]:
    return [row for row in dataset.rows("test") if row["type"] == type_]


def _prompt(row: dict[str, Any]) -> Prompt:
    messages = tuple({"role": one["role"], "content": one["content"]} for one in row["prompt"])
    return Prompt(
        messages=messages,
        text=row["completion"][-1]["content"],
        document=str(row["document_id"]),
        link=row["link"],
        passages=passages_in(messages[-1]["content"]),
    )


def _samples(rows: Iterable[dict[str, Any]]) -> list[Sample]:
    return [Sample(prose(row["completion"][-1]["content"]), str(row["document_id"])) for row in rows]


def _from_dataset(dataset: Dataset) -> OtherAuthor:
    test = _samples(_rows(dataset, OWN_WORDS))
    return OtherAuthor(dataset.author or dataset.name, dataset.reference, training_texts(dataset), test)


def _from_feature_store(settings: Settings, dataset: Dataset) -> list[OtherAuthor]:
    try:
        documents = read_documents(settings, None)
    except (VectorStoreError, DatasetError):
        return []
    own = author_ids(dataset)
    written: dict[UUID, list[CleanedDocument]] = {}
    for document in documents:
        if document.author_id not in own:
            written.setdefault(document.author_id, []).append(document)
    found = [_from_documents(theirs) for theirs in written.values()]
    for author in found:
        # The newest documents, as the datasets' test splits are.
        ids = list(dict.fromkeys(sample.document for sample in author.training))
        kept = set(ids[len(ids) - max(1, round(len(ids) * _HELD_OUT)) :])
        author.held_out.extend(sample for sample in author.training if sample.document in kept)
        author.training[:] = [sample for sample in author.training if sample.document not in kept]
    return found


def _from_documents(documents: Sequence[CleanedDocument]) -> OtherAuthor:
    pieces = [piece for one in documents for piece in _paragraphs(prose(one.content), str(one.document_id))]
    return OtherAuthor(author_name(documents), "feature store", pieces)


def _paragraphs(text: str, document: str, size: int = 200) -> Sequence[Sample]:
    """Return a text in pieces of whole paragraphs, of about ``size`` words."""
    pieces: list[str] = []
    gathered: list[str] = []
    for paragraph in text.split("\n\n"):
        gathered.append(paragraph)
        if sum(len(one.split()) for one in gathered) >= size:
            pieces.append("\n\n".join(gathered))
            gathered = []
    return [Sample(piece, document) for piece in [*pieces, "\n\n".join(gathered)] if piece.strip()]
