"""Passages in a prompt: related, of training documents, never the answer itself, and cited by their numbers."""

from __future__ import annotations

import re
from itertools import pairwise

from tests.authors import cleaned, text

from llmtwin.datasets.compose import Asked, Composer, cite
from llmtwin.datasets.extracts import Extract, cut
from llmtwin.datasets.leakage import LONGEST_RUN, Unseen
from llmtwin.datasets.options import Options
from llmtwin.datasets.passages import PassageIndex
from llmtwin.datasets.tokens import Tokenizer


def corpus(tokenizer: Tokenizer) -> list[Extract]:
    return [one for number in range(6) for one in cut(cleaned(number), tokenizer, 96).extracts]


def composer(extracts: list[Extract], tokenizer: Tokenizer, share: float) -> Composer:
    options = Options(rag_share=share, rag_passages=3)
    names = {extracts[0].document.author_id: "Ana Núñez"}
    return Composer(names, PassageIndex(extracts, tokenizer), tokenizer, options)


def test_search_finds_what_has_the_words(tokenizer: Tokenizer) -> None:
    extracts = corpus(tokenizer)
    index = PassageIndex(extracts, tokenizer)
    for extract in extracts[:5]:
        assert index.search(extract.text, 1) == [extract]
    assert index.search("", 3) == []
    assert PassageIndex([], tokenizer).search("heron", 3) == []


def test_what_supports_an_answer_never_repeats_it(tokenizer: Tokenizer) -> None:
    answer, *others = corpus(tokenizer)
    copy = Extract(cleaned(9), 0, (), 0, f"Once more. {answer.text}", answer.tokens + 3)
    index = PassageIndex([answer, copy, *others], tokenizer)
    found = [hit.extract for hit in index.supporting("What about it?", answer, 3)]
    assert len(found) == 3
    assert answer not in found
    assert copy not in found
    unseen = Unseen([answer.text], tokenizer)
    assert all(unseen.longest_run(one.text) < LONGEST_RUN for one in found)


def test_the_best_supported_share_comes_with_passages_and_cites_them(tokenizer: Tokenizer) -> None:
    extracts = corpus(tokenizer)
    rows = composer(extracts, tokenizer, 0.25).rows([Asked(one, "What about it?", None) for one in extracts])
    with_passages = [row for row in rows if row["type"] == "rag"]
    assert 0 < len(with_passages) <= len(extracts) // 4
    plain = [row for row in rows if row["type"] == "instruction"]
    assert [(row["prompt"][1]["content"], row["completion"][0]["content"]) for row in plain] == [
        ("What about it?", extract.text) for extract in extracts
    ]
    for before, row in pairwise(rows):
        if row["type"] != "rag":
            continue
        asked, said = row["prompt"][1]["content"], row["completion"][0]["content"]
        extract = extracts[plain.index(before)]
        assert said.startswith(extract.text)
        assert asked.endswith("What about it?")
        assert extract.text not in asked
        numbers = [int(number) for number in re.findall(r"\[(\d)\]", said.removeprefix(extract.text))]
        assert numbers == sorted(numbers)
        assert set(numbers) <= {1, 2, 3}
        assert "Name the number of a passage" in row["prompt"][0]["content"]


def test_no_share_means_no_passages_and_the_same_seed_the_same_rows(tokenizer: Tokenizer) -> None:
    extracts = corpus(tokenizer)
    asked = [Asked(one, "What about it?", None) for one in extracts]
    assert {row["type"] for row in composer(extracts, tokenizer, 0.0).rows(asked)} == {"instruction"}
    assert composer(extracts, tokenizer, 0.5).rows(asked) == composer(extracts, tokenizer, 0.5).rows(asked)


def test_special_tokens_in_a_passages_title_are_broken_up(tokenizer: Tokenizer) -> None:
    documents = [cleaned(number, text(number), title="Ends [SEP] here") for number in range(4)]
    extracts = [one for document in documents for one in cut(document, tokenizer, 96).extracts]
    rows = composer(extracts, tokenizer, 1.0).rows([Asked(one, "What?", None) for one in extracts])
    assert any(row["type"] == "rag" for row in rows)
    assert not any("[SEP]" in row["prompt"][1]["content"] for row in rows)


def test_numbers_stand_behind_the_last_sentence_or_below_code() -> None:
    assert cite("It waits.", [1, 3]) == "It waits. [1][3]"
    assert cite("```\ncode\n```", [2]) == "```\ncode\n```\n\n[2]"
    assert cite("It waits.", []) == "It waits."
