"""Options, near-duplicates, neighbours and links: what needs no server."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llmtwin.documents import Kind, chunk_id
from llmtwin.retrieval import Options, Passage
from llmtwin.retrieval.duplicates import contained, shingles, without_duplicates
from llmtwin.retrieval.links import choose, links_in, without_links
from llmtwin.retrieval.neighbours import join, join_neighbours
from llmtwin.retrieval.understanding import find_author
from llmtwin.settings import Settings

DOCUMENT = UUID(int=7)
TEXT = "Every model forgets what it was not asked for in a long time, says the second law of training."


def passage(position: int, content: str, document: UUID = DOCUMENT, **changes: Any) -> Passage:
    id_ = chunk_id(document, position)
    given: dict[str, Any] = {
        "chunk_id": id_, "document_id": document, "kind": Kind.ARTICLE, "title": "T", "link": "https://example.org/1",
        "author": "Ana", "platform": "example.org", "content": content, "score": 1.0, "position": position,
        "version": 1, "chunks": (id_,),
    }  # fmt: skip
    return Passage(**given | changes)


def test_options_come_from_the_settings_unless_they_are_given() -> None:
    settings = Settings(retrieval_top_k=9, retrieval_rerank=False, retrieval_mode="sparse")
    options = Options.of(settings, {"top_k": 3, "kinds": ["post", "post"]})
    assert (options.top_k, options.rerank, options.mode, options.kinds) == (3, False, "sparse", [Kind.POST])
    assert Options.of(Settings()) == Options()
    assert Options.model_validate_json(options.model_dump_json()) == options


@pytest.mark.parametrize(
    "given_",
    [
        {"topk": 3},
        {"top_k": 0},
        {"top_k": 10_000},
        {"kinds": []},
        {"kinds": ["news"]},
        {"mode": "magic"},
        {"expansion": 100},
        {"links": ["https://example.org"] * 6},
        {"links": [" "]},
        {"authors": ["\0"]},
    ],
)
def test_options_that_make_no_sense_are_refused(given_: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.of(Settings(), given_)


def test_a_text_cut_at_another_place_is_the_same_text() -> None:
    longer = passage(0, f"{TEXT} And then there is more to be said.")
    shorter = passage(0, TEXT.partition(" ")[2], UUID(int=8))
    other = passage(0, "Bread needs flour, water and salt, and a warm place to rise for a night.", UUID(int=9))
    assert without_duplicates([longer, other, shorter], 5) == [longer, other]
    assert without_duplicates([shorter, longer], 5) == [shorter]
    assert without_duplicates([longer, other], 1) == [longer]


@given(st.text(max_size=80), st.text(max_size=80))
def test_containment_is_a_share(one: str, other: str) -> None:
    assert contained(shingles(one), shingles(one)) == 1
    assert 0 <= contained(shingles(one), shingles(other)) == contained(shingles(other), shingles(one)) <= 1


def test_what_neighbours_share_is_there_once() -> None:
    joined = join(passage(0, "One two three. Four five six."), passage(1, "Four five six. Seven eight."))
    assert joined.content == "One two three. Four five six. Seven eight."
    assert joined.chunks == (chunk_id(DOCUMENT, 0), chunk_id(DOCUMENT, 1))
    assert join(passage(0, "It ends in s"), passage(1, "s begins it")).content == "It ends in s\n\ns begins it"


def test_code_is_joined_by_its_lines() -> None:
    before = passage(0, "def a():\n    return 1", start_line=1, end_line=2)
    after = passage(1, "    return 1\n\ndef b(): ...", start_line=5, end_line=7)
    joined = join(before, after)
    assert joined.content == "def a():\n    return 1\n\n\n    return 1\n\ndef b(): ..."
    assert (joined.start_line, joined.end_line) == (1, 7)


def test_passages_that_touch_become_the_better_one() -> None:
    found = {one.chunk_id: one for one in (passage(n, f"Text of number {n}.") for n in range(9))}
    first, second, apart = (passage(n, f"Text of number {n}.") for n in (5, 2, 8))
    elsewhere = passage(4, "Elsewhere.", UUID(int=9))
    joined = join_neighbours([first, elsewhere, second, apart], found)
    assert [one.position for one in joined] == [5, 4]
    assert joined[0].content == "\n\n".join(f"Text of number {n}." for n in range(1, 9))
    assert joined[1].content == "Elsewhere."


def test_links_in_questions() -> None:
    question = "Compare https://example.org/a(b) with http://example.com/x?y=1, please. And https://example.net/"
    assert links_in(question) == ["https://example.org/a(b)", "http://example.com/x?y=1"]
    assert without_links("Write about https://example.org/a, now") == "Write about , now"
    assert without_links("https://example.org/a") == "https://example.org/a"
    assert links_in("no link, ftp://example.org/a, example.org") == []


@given(st.lists(st.floats(0, 1), max_size=40), st.integers(1, 12))
def test_of_a_page_the_beginning_and_the_best(coverage: list[float], limit: int) -> None:
    kept = choose(coverage, limit)
    assert kept == sorted(set(kept))
    assert len(kept) == min(limit, len(coverage))
    if coverage:
        assert kept[0] == 0
    if limit > 1 and coverage:
        assert max(coverage[index] for index in kept) == max(coverage)


def test_authors_are_found_by_name_or_by_a_part_that_is_theirs_alone() -> None:
    ana, ben, other_ana = UUID(int=1), UUID(int=2), UUID(int=3)
    known = {ana: "Ana Núñez", ben: "Ben Other", other_ana: "Ana Other Name"}
    assert find_author("ana  núñez", known) == [ana]
    assert find_author("Ben", known) == [ben]
    assert find_author("Ana", known) == []
    assert find_author("", known) == find_author("An", known) == []
