"""From documents to the extracts of each split: cut, filter, split, and let nothing leak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from llmtwin.datasets.extracts import Extract, cut
from llmtwin.datasets.filters import distinct, filtered, prose_only, repeated_paragraphs
from llmtwin.datasets.leakage import Unseen
from llmtwin.datasets.options import Options
from llmtwin.datasets.split import Split, split_documents
from llmtwin.datasets.tokens import Tokenizer
from llmtwin.documents import CleanedDocument
from llmtwin.errors import DatasetError

# What a row of the key's split must not repeat.
_UNSEEN_BY = {Split.TRAIN: (Split.VALIDATION, Split.TEST), Split.VALIDATION: (Split.TEST,), Split.TEST: ()}


@dataclass
class Removed:
    """What was left out, by reason."""

    documents: Counter[str] = field(default_factory=Counter)
    paragraphs: Counter[str] = field(default_factory=Counter)
    extracts: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    """Of the teacher."""
    rows: Counter[str] = field(default_factory=Counter)
    """As they would have been written."""

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Return the counts above zero, by name."""
        return {name: {reason: counts[reason] for reason in sorted(+counts)} for name, counts in vars(self).items()}

    def reasons(self) -> str:
        """Return the same as words."""
        counts = [
            f"{count} {what} removed ({reason})"
            for what, reasons in self.as_dict().items()
            for reason, count in reasons.items()
        ]
        return "; ".join(counts) or "they are empty"


@dataclass
class Prepared:
    """The extracts that are left, and whose they are."""

    documents: dict[UUID, CleanedDocument]
    splits: dict[UUID, Split]
    """Of every document that has an extract left."""
    extracts: dict[Split, list[Extract]]
    removed: Removed

    def guard(self, split: Split, tokenizer: Tokenizer) -> Unseen:
        """Return the texts that rows of a split must not repeat."""
        hidden = [id_ for id_, other in self.splits.items() if other in _UNSEEN_BY[split]]
        return Unseen([self.documents[id_].content for id_ in hidden], tokenizer)


def prepare(documents: Sequence[CleanedDocument], tokenizer: Tokenizer, options: Options) -> Prepared:
    """Return what can be learned from documents, by split.

    Args:
        documents: The oldest first.
        tokenizer: The base model's.
        options: Sizes, filters and shares.

    Raises:
        DatasetError: Nothing is left, or too little for three splits; says what was removed and why.
    """
    removed = Removed()
    prose = prose_only(documents, removed.documents)
    is_repeated = repeated_paragraphs(prose)
    pieces: list[Extract] = []
    for document in prose:
        result = cut(document, tokenizer, options.extract_tokens, is_repeated)
        removed.paragraphs += result.left_out
        pieces += result.extracts
    kept = distinct(filtered(pieces, tokenizer, options, removed.extracts), removed.extracts)
    used = {extract.document.document_id for extract in kept}
    removed.documents["no extract left"] += len({one.document_id for one in prose} - used)
    if not kept:
        raise DatasetError(f"none of {len(documents)} documents holds anything to learn from: {removed.reasons()}")
    splits = split_documents([document for document in prose if document.document_id in used], options)
    prepared = Prepared({one.document_id: one for one in prose}, splits, {split: [] for split in Split}, removed)
    guards = {split: prepared.guard(split, tokenizer) for split in Split}
    for extract in kept:
        split = splits[extract.document.document_id]
        if guards[split].is_repeated_in(extract.text):
            removed.extracts["repeats what must stay unseen"] += 1
        else:
            prepared.extracts[split].append(extract)
    for split, extracts in prepared.extracts.items():
        if not extracts:
            raise DatasetError(f"nothing is left for {split}: {removed.reasons()}. Crawl more, or loosen the filters")
    return prepared
