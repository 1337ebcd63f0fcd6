"""Instructions by rule, and which of a teacher's are good for anything."""

from __future__ import annotations

import pytest
from tests.authors import cleaned, text
from tests.documents import post

from llmtwin.datasets.extracts import Extract, cut
from llmtwin.datasets.instructions import Topics, by_rule, task_of, title_of
from llmtwin.datasets.tokens import Tokenizer
from llmtwin.documents import CleanedPost


def extracts(number: int, tokenizer: Tokenizer) -> list[Extract]:
    return cut(cleaned(number), tokenizer, 96).extracts


def test_an_instruction_names_title_and_heading_and_is_the_same_each_time(tokenizer: Tokenizer) -> None:
    found = extracts(1, tokenizer)
    topics = Topics(found)
    asked = [by_rule(one, topics, 0) for one in found]
    assert asked == [by_rule(one, topics, 0) for one in found]
    assert all("Essay 1" in one for one in asked)
    headed = [one for one in found if one.headings]
    assert headed
    assert all(one.headings[-1] in by_rule(one, topics, 0) for one in headed)
    assert asked != [by_rule(one, topics, 1) for one in found]


def test_topics_are_what_is_frequent_here_and_rare_elsewhere(tokenizer: Tokenizer) -> None:
    texts = ["The engine and the zeppelin, a zeppelin.", "The engine and the river.", "The engine and the lantern."]
    found = [Extract(cleaned(at, one), 0, (), 0, one, 9) for at, one in enumerate(texts)]
    assert Topics(found).of(texts[0])[0] == "zeppelin"


def test_a_post_is_asked_for_by_what_it_is_about(tokenizer: Tokenizer) -> None:
    raw = post(1, "Herons wait. Herons fly.")
    shared = {name: getattr(raw, name) for name in CleanedPost.model_fields if hasattr(raw, name)}
    document = CleanedPost(**shared | {"document_id": raw.id, "version": 1, "title": None})
    extract = Extract(document, 0, (), 0, raw.content, 9)
    asked = by_rule(extract, Topics([extract]), 0)
    assert "Herons" in asked
    assert "post" in asked


def test_a_title_loses_the_authors_name() -> None:
    for title in ("On Herons - by Ana Núñez", "Ana Núñez - On  Herons", "On Herons | Ana Núñez", "On Herons"):
        assert title_of(cleaned(1, title=title)) == "On Herons"
    assert title_of(cleaned(1, title=None)) == ""


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("  How does the heron\nfind its way home? ", None),
        ("Herons?", "length"),
        ("why " * 100, "length"),
        ("What does the text above say about herons?", "points at"),
        ("Summarise this passage about herons, please.", "points at"),
    ],
)
def test_a_teachers_instruction_stands_for_itself(instruction: str, reason: str | None, tokenizer: Tokenizer) -> None:
    task = task_of(extracts(1, tokenizer)[0])
    if reason is None:
        assert task.read({"instruction": instruction}) == "How does the heron find its way home?"
    else:
        with pytest.raises(ValueError, match=reason):
            task.read({"instruction": instruction})


def test_a_teachers_instruction_gives_no_answer_away(tokenizer: Tokenizer) -> None:
    task = task_of(extracts(1, tokenizer)[0])
    with pytest.raises(ValueError, match="gives the answer away"):
        task.read({"instruction": " ".join(text(1).split()[:16])})


@pytest.mark.parametrize("parsed", [{}, {"instruction": None}, {"instruction": 3}, {"answer": "Why?"}])
def test_another_form_is_nonsense(parsed: dict[str, object], tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="form"):
        task_of(extracts(1, tokenizer)[0]).read(parsed)
