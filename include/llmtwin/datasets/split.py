"""Who is tested on what: whole documents, the newest for the test, and what repeats itself on one side."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from enum import StrEnum
from uuid import UUID

from llmtwin.datasets.duplicates import similar_pairs
from llmtwin.datasets.options import Options
from llmtwin.datasets.source import LONG_AGO
from llmtwin.documents import CleanedDocument
from llmtwin.errors import DatasetError

# A document of which half is in another one tells too much about it.
ALIKE = 0.5


class Split(StrEnum):
    """What a document is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def split_documents(documents: Sequence[CleanedDocument], options: Options) -> dict[UUID, Split]:
    """Return the split of each document, by id.

    Near-duplicates stay together, and are as old as the oldest of them: what an author publishes again is not new. What
    has no date is older than all that has. A repository's files are documents of their own.

    Args:
        documents: The oldest first.
        options: Say the shares, and the seed that draws lots among documents of the same moment.

    Raises:
        DatasetError: There are not enough documents for three splits.
    """
    groups = _groups(documents)
    if len(groups) < len(Split):
        raise DatasetError(
            f"{len(documents)} usable documents, of which {len(groups)} differ, are too few: train, validation and "
            f"test take at least one each, for a split never cuts a document. Crawl more of what the author wrote"
        )
    lots = random.Random(f"split:{options.seed}")
    drawn = {id(group): lots.random() for group in groups}
    groups.sort(key=lambda group: (min(one.published_at or LONG_AGO for one in group), drawn[id(group)]))
    result: dict[UUID, Split] = {}
    left = len(groups)
    for split, share in ((Split.TEST, options.test_share), (Split.VALIDATION, options.validation_share)):
        wanted = math.ceil(share * len(documents))
        others = 1 if split is Split.VALIDATION else 2
        taken = 0
        while taken < wanted and left > others:
            left -= 1
            taken += len(groups[left])
            result |= {one.document_id: split for one in groups[left]}
    return result | {one.document_id: Split.TRAIN for group in groups[:left] for one in group}


def _groups(documents: Sequence[CleanedDocument]) -> list[list[CleanedDocument]]:
    """Return documents that must stay together, in the order of the first of each group."""
    leader = list(range(len(documents)))

    def find(number: int) -> int:
        while leader[number] != number:
            number = leader[number]
        return number

    for one, other in similar_pairs([document.content for document in documents], ALIKE):
        low, high = sorted((find(one), find(other)))
        leader[high] = low
    groups: dict[int, list[CleanedDocument]] = {}
    for number, document in enumerate(documents):
        groups.setdefault(find(number), []).append(document)
    return list(groups.values())
