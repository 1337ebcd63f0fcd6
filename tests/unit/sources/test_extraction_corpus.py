"""Quality of what is extracted, over pages in the shape of real ones (tests/fixtures/pages)."""

from __future__ import annotations

from functools import cache
from statistics import fmean

import pytest
from tests.extraction import GROUPS, STRUCTURE, Case, Extracted, Score, load_cases, read, score

from llmtwin import errors

CASES = load_cases()
READABLE = [case for case in CASES if case.error is None]
each_page = pytest.mark.parametrize("case", READABLE, ids=lambda case: case.name)


@cache
def extracted(case: Case) -> Extracted:
    return read(case)


@cache
def scored(case: Case) -> Score:
    return score(extracted(case).markdown, case)


@each_page
def test_the_words_are_those_a_reader_sees(case: Case) -> None:
    found = scored(case)
    assert found.precision >= 0.9
    assert found.recall >= 0.9


@each_page
def test_the_words_are_in_their_order(case: Case) -> None:
    """Words that stand once in the article come in its order."""
    expected, found = case.expected, case.reading(extracted(case).markdown)
    once = {word for word, count in expected.words.items() if count == 1 and found.words[word] == 1}
    assert [word for word in found.in_order if word in once] == [word for word in expected.in_order if word in once]


@each_page
@pytest.mark.parametrize("kind", STRUCTURE)
def test_structure_is_kept(case: Case, kind: str) -> None:
    found, expected = case.reading(extracted(case).markdown), case.expected
    assert getattr(expected, kind) - getattr(found, kind) == {}


@each_page
def test_there_is_no_code_but_the_authors(case: Case) -> None:
    assert case.reading(extracted(case).markdown).code == case.expected.code


@each_page
def test_nothing_of_what_stands_around_it(case: Case) -> None:
    assert [text for text in case.absent if text in extracted(case).markdown] == []


@pytest.mark.parametrize("case", [case for case in READABLE if case.kind != "fragment"], ids=lambda case: case.name)
def test_title_and_date(case: Case) -> None:
    found = extracted(case)
    assert (found.title, found.published_at) == (case.title, case.published_at)


@pytest.mark.parametrize("case", [case for case in CASES if case.error], ids=lambda case: case.name)
def test_a_page_without_an_article_says_why(case: Case) -> None:
    with pytest.raises(errors.SourceError) as caught:
        read(case)
    assert type(caught.value).__name__ == case.error


def test_over_all_pages() -> None:
    scores = [scored(case) for case in READABLE]
    assert fmean(found.precision for found in scores) >= 0.97
    assert fmean(found.recall for found in scores) >= 0.97
    for kind in STRUCTURE:
        assert sum(found.found[kind] for found in scores) >= 0.95 * sum(found.expected[kind] for found in scores)


def test_the_corpus_is_wide_enough() -> None:
    assert len(CASES) >= 30
    assert {case.group for case in CASES} == set(GROUPS)


@each_page
def test_the_expected_text_is_an_article(case: Case) -> None:
    assert case.expected.words.total() >= 100
    written = (case.folder / "expected.md").read_text(encoding="utf-8")
    assert [text for text in case.absent if text in written] == []
    assert case.absent or case.kind == "fragment"
