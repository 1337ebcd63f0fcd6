"""From a question to passages, over a real Qdrant."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.documents import AUTHOR, article, post, source_file
from tests.integration.retrieval.conftest import Ask, index

from llmtwin import vectors
from llmtwin.documents import Kind, User
from llmtwin.features import handler_for
from llmtwin.retrieval import Options, Retrieval, Retrieved
from llmtwin.retrieval.reranking import LateInteraction
from llmtwin.settings import Settings

pytestmark = pytest.mark.stack

OTHER = User.named("Ben Other")
BEES = "Bees gather nectar from lavender and turn it into honey inside the hive."
KNOTS = "A bowline is a knot that makes a loop which does not slip under load."
CODE = "def quantize(weights):\n    return [round(weight * 127) for weight in weights]\n"


def by(author: User) -> dict[str, Any]:
    return {"author_id": author.id, "author_full_name": author.full_name}


def kinds_of(found: Retrieved) -> set[Kind]:
    return {passage.kind for passage in found.passages}


@pytest.fixture
def three_kinds(store: Settings) -> Settings:
    index(store, article(1, KNOTS), post(1, BEES), source_file(1, CODE))
    return store


@pytest.mark.parametrize("mode", ["hybrid", "dense", "sparse"])
@pytest.mark.parametrize(
    ("kind", "question", "text"),
    [
        (Kind.POST, "nectar from lavender", BEES),
        (Kind.ARTICLE, "a knot with a loop", KNOTS),
        (Kind.REPOSITORY, "quantize weights", CODE),
    ],
)
def test_each_kind_is_found(three_kinds: Settings, ask: Ask, kind: Kind, question: str, text: str, mode: str) -> None:
    found = ask(question, mode=mode)
    [best, *_] = found.passages
    assert (best.kind, best.content.strip(), best.author) == (kind, text.strip(), AUTHOR.full_name)
    assert {"embed", "search", "rerank", "deduplicate", "total"} <= found.steps.keys()
    assert found.notes == []


def test_only_the_kinds_asked_for_are_found(three_kinds: Settings, ask: Ask) -> None:
    assert kinds_of(ask("bees", kinds=["post", "repository"])) == {Kind.POST, Kind.REPOSITORY}


def test_a_passage_of_code_names_path_and_lines(three_kinds: Settings, ask: Ask) -> None:
    [best] = ask("quantize", kinds=["repository"]).passages
    assert (best.path, best.language, best.start_line, best.end_line) == ("file_1.py", "python", 1, 2)


@pytest.mark.parametrize("author", ["ben  OTHER", str(OTHER.id)])
def test_the_author_filter_matches_every_kind_and_nobody_else(three_kinds: Settings, ask: Ask, author: str) -> None:
    index(three_kinds, article(2, KNOTS, **by(OTHER)), post(2, BEES, **by(OTHER)), source_file(2, CODE, **by(OTHER)))
    found = ask("bees, knots and weights", authors=[author])
    assert kinds_of(found) == set(Kind)
    assert {passage.author for passage in found.passages} == {OTHER.full_name}


def test_an_author_of_whom_there_is_nothing_is_named(three_kinds: Settings, ask: Ask) -> None:
    found = ask("bees", authors=["Nobody Known"])
    assert found.passages == []
    assert found.notes == ["nothing was found: there is no writing of Nobody Known"]


@pytest.mark.parametrize("options", [{}, {"parents": True, "rerank": False}, {"authors": ["Ana Núñez"]}])
def test_an_empty_store_gives_no_passages_and_says_so(store: Settings, ask: Ask, options: dict[str, Any]) -> None:
    found = ask("bees", **options)
    assert found.passages == []
    assert found.notes == ["nothing is searchable yet: see `llmtwin status`"]


@pytest.mark.parametrize("question", ["", "  \n", "?!", "🙂"])
def test_questions_without_words_do_no_harm(three_kinds: Settings, ask: Ask, question: str) -> None:
    assert ask(question, mode="sparse").passages == []
    assert bool(ask(question).passages) == bool(question.strip())


def test_a_question_of_ten_thousand_words_is_searched_by_its_ends(three_kinds: Settings, ask: Ask) -> None:
    found = ask("bowline loop knot " + "filler " * 10_000 + " does it slip under load?", mode="sparse")
    assert found.passages[0].content == KNOTS
    assert "first and last 2,000" in found.notes[0]


def test_top_k_is_kept_in_order(three_kinds: Settings, ask: Ask) -> None:
    index(three_kinds, *(post(number, f"Bees of hive {number} like {number * 7} flowers.") for number in range(10, 30)))
    found = ask("bees in a hive", top_k=7).passages
    assert len(found) == 7
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_one_search_keeps_its_scores_and_hybrid_fuses_ranks(three_kinds: Settings, ask: Ask) -> None:
    dense = ask(BEES, mode="dense", rerank=False, kinds=["post"]).passages[0].score
    hybrid = ask(BEES, rerank=False, kinds=["post"], changes={"rrf_k": 10}).passages[0].score
    assert dense == pytest.approx(1, abs=1e-3)  # the cosine of a text with itself
    assert hybrid == pytest.approx(2 / 10)  # first in two rankings, counted from 0


def test_the_same_text_twice_is_one_passage(store: Settings, ask: Ask) -> None:
    index(store, article(1, BEES), article(2, f"{BEES} So they say."), post(1, BEES), post(2, KNOTS))
    alike = [passage for passage in ask("nectar and honey").passages if BEES in passage.content]
    assert len(alike) == 1
    assert len([one for one in ask("nectar and honey", deduplicate=False).passages if BEES in one.content]) == 3


def test_parents_are_the_document_as_written(store: Settings, ask: Ask) -> None:
    sentences = [f"Sentence {n} says that {n * n} is the square of {n}." for n in range(300)]
    document = article(1, "\n\n".join(" ".join(sentences[at : at + 30]) for at in range(0, 300, 30)))
    index(store, document)
    handler = handler_for(Kind.ARTICLE, store)
    cleaned = handler.clean(document, 1)
    chunks = {chunk.chunk_id: chunk for chunk in handler.chunk(cleaned)}
    found = ask("Sentence 150", top_k=1, parents=True, mode="sparse")
    [passage] = found.passages
    assert len(passage.chunks) == 3
    assert "parents" in found.steps
    assert [chunks[id_].position for id_ in passage.chunks] == [passage.position + by for by in (-1, 0, 1)]
    # Overlapping neighbours share words, which are there once; elsewhere only blank lines may differ.
    assert "".join(passage.content.split()) in "".join(cleaned.content.split())


def test_parents_of_code_keep_lines_and_white_space(store: Settings, ask: Ask) -> None:
    code = "\n\n\n".join(
        f"def step_{n}(value):\n" + "\n".join(f"    value = value * {n} + {i}" for i in range(25)) for n in range(6)
    )
    index(store, source_file(1, code))
    [passage] = ask("step_3", top_k=1, parents=True, mode="sparse").passages
    assert passage.start_line is not None
    assert passage.end_line is not None
    assert len(passage.chunks) == 3
    assert passage.content == "\n".join(code.split("\n")[passage.start_line - 1 : passage.end_line])


def test_neighbours_of_an_older_version_are_left_out(store: Settings, ask: Ask) -> None:
    text = " ".join(f"Sentence {n} says something of its own." for n in range(120))
    index(store, article(1, text), version=1)
    with vectors.connect(store) as client:
        from qdrant_client import models

        first = models.Filter(must=[models.FieldCondition(key="position", match=models.MatchValue(value=0))])
        client.set_payload(vectors.embedded_alias(Kind.ARTICLE), {"version": 9}, first, wait=True)
    [passage] = ask("Sentence 1 says something", top_k=1, parents=True, mode="sparse", rerank=False).passages
    assert {passage.version} == {9}
    assert len(passage.chunks) == 1


def test_a_busy_reranker_is_done_without(three_kinds: Settings) -> None:
    settings = three_kinds.model_copy(update={"reranker_queue": 1})

    async def many() -> list[Retrieved]:
        async with Retrieval(settings) as retrieval:
            return list(await asyncio.gather(*(retrieval.retrieve(f"bees {n}", Options()) for n in range(40))))

    found = asyncio.run(many())
    assert all(one.passages[0].content == BEES for one in found)
    reranked = [one for one in found if "rerank" in one.steps]
    assert reranked
    assert {note for one in found if one not in reranked for note in one.notes} == {
        "not reranked: too many questions wait for that"
    }


def test_a_slow_reranker_is_not_waited_for(three_kinds: Settings, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    asked = LateInteraction.scores

    def slow(self: LateInteraction, question: str, texts: Sequence[str]) -> list[float]:
        if question != "warm":
            release.wait(30)
        return asked(self, question, texts)

    monkeypatch.setattr(LateInteraction, "scores", slow)
    try:
        found = ask("nectar from lavender", changes={"rag_timeout_seconds": 0.4})
    finally:
        release.set()
    assert found.passages[0].content == BEES
    assert found.notes == ["not reranked: that took longer than 0.1 s"]


def test_times_of_publication_reach_every_kind(store: Settings, ask: Ask) -> None:
    old, new = datetime(2020, 5, 1, tzinfo=UTC), datetime(2025, 5, 1, tzinfo=UTC)
    for number, when in enumerate((old, new, None)):
        index(store, article(number, KNOTS, published_at=when), post(number, BEES, published_at=when))

    async def complete(_messages: list[dict[str, str]], _schema: dict[str, Any] | None) -> str:
        return '{"published_from": "2025-01-01", "published_before": "2026-01-01"}'

    found = ask("what was written in 2025?", complete, self_query=True, deduplicate=False)
    assert {passage.link for passage in found.passages} == {article(1).link, post(1).link}
