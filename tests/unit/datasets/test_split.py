"""The split: whole documents, the newest for the test, what is alike on one side."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from tests.authors import FIRST, cleaned, text
from tests.documents import source_file

from llmtwin.datasets.options import Options
from llmtwin.datasets.split import Split, split_documents
from llmtwin.documents import CleanedDocument, CleanedRepositoryFile
from llmtwin.errors import DatasetError

OPTIONS = Options(test_share=0.2, validation_share=0.2)


def splits(documents: list[CleanedDocument], options: Options = OPTIONS) -> list[Split]:
    found = split_documents(documents, options)
    assert found.keys() == {document.document_id for document in documents}
    return [found[document.document_id] for document in documents]


def readme(number: int) -> CleanedRepositoryFile:
    raw = source_file(number, text(number))
    shared = {name: getattr(raw, name) for name in CleanedRepositoryFile.model_fields if hasattr(raw, name)}
    return CleanedRepositoryFile(**shared | {"document_id": raw.id, "version": 1, "language": "markdown"})


def test_the_newest_are_the_test_and_those_before_them_the_validation() -> None:
    documents: list[CleanedDocument] = [cleaned(number) for number in range(10)]
    assert splits(documents) == [Split.TRAIN] * 6 + [Split.VALIDATION] * 2 + [Split.TEST] * 2


def test_what_was_published_again_stays_with_the_first_and_is_as_old() -> None:
    documents: list[CleanedDocument] = [cleaned(number) for number in range(9)]
    again = cleaned(9, text(0).replace("river", "stream"))
    found = splits([*documents, again])
    assert found[0] is found[9] is Split.TRAIN
    assert found[7:9] == [Split.TEST] * 2


def test_the_files_of_a_repository_are_documents_of_their_own() -> None:
    documents: list[CleanedDocument] = [readme(number) for number in range(10)]
    assert set(splits(documents)) == set(Split)


def test_what_has_no_date_is_older_than_all_that_has() -> None:
    undated: list[CleanedDocument] = [cleaned(number, published_at=None) for number in range(4)]
    dated: list[CleanedDocument] = [cleaned(number) for number in range(4, 8)]
    assert set(splits(undated + dated)[:4]) == {Split.TRAIN}


def test_the_seed_draws_lots_among_documents_of_one_moment_and_nothing_else() -> None:
    together: list[CleanedDocument] = [cleaned(number, published_at=FIRST) for number in range(12)]
    found = [splits(together, OPTIONS.model_copy(update={"seed": seed})) for seed in range(8)]
    assert found[0] == splits(together)
    assert any(other != found[0] for other in found)
    apart: list[CleanedDocument] = [cleaned(number) for number in range(12)]
    assert all(splits(apart, OPTIONS.model_copy(update={"seed": seed})) == splits(apart) for seed in range(4))


def test_three_documents_are_enough_and_two_are_not() -> None:
    three: list[CleanedDocument] = [cleaned(number) for number in range(3)]
    assert splits(three) == [Split.TRAIN, Split.VALIDATION, Split.TEST]
    with pytest.raises(DatasetError, match=r"2 usable documents.* too few.*Crawl more"):
        split_documents(three[:2], OPTIONS)
    with pytest.raises(DatasetError, match="of which 2 differ"):
        split_documents([*three[:2], cleaned(3, text(0))], OPTIONS)


def test_train_is_never_left_without_a_document() -> None:
    greedy = Options(test_share=0.45, validation_share=0.45)
    draw = random.Random(1)
    for count in range(3, 12):
        documents: list[CleanedDocument] = [
            cleaned(number, published_at=FIRST + timedelta(days=draw.randint(0, 3))) for number in range(count)
        ]
        assert set(splits(documents, greedy)) == set(Split)
