"""Chunks fit the window, lose nothing, and say exactly what was written."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtwin.errors import SettingsError
from llmtwin.features import layout
from llmtwin.features.chunking import Chunker
from llmtwin.features.embedding import Model, open_model
from llmtwin.features.layout import Layout
from llmtwin.settings import MINILM

SMALL = 40  # a window small enough that short texts are cut


@cache
def minilm() -> Model:
    return open_model(MINILM, Path.cwd())


@cache
def chunker(window: int = SMALL, overlap: int = 0, prompt: str = "") -> Chunker:
    model = Model(minilm().name, minilm().path)
    vars(model)["max_tokens"] = window  # a cached property, set before it is read
    return Chunker(model, prompt, overlap)


def chunks(text_layout: Layout, **options: int) -> list[str]:
    return [text_layout.text[start:end] for start, end in chunker(**options).spans(text_layout)]


def tokens(text: str) -> int:
    return len(minilm().encode([text])[0].ids)


def assert_whole(text: str, spans: list[tuple[int, int]], window: int) -> None:
    """Every character that is not white space is in a chunk, chunks ascend, and each fits."""
    covered = 0
    for start, end in spans:
        assert not text[covered:start].strip(), f"lost {text[covered:start]!r}"
        assert end > covered, "a chunk that adds nothing"
        assert tokens(text[start:end]) <= window
        assert text[start:end] == text[start:end].rstrip()
        assert text[start:end].strip()
        covered = end
    assert not text[covered:].strip(), f"lost {text[covered:]!r}"


WORDS = st.sampled_from(
    ["word", "漢字かな", "。", "👨\u200d👩\u200d👧", "e\u0301", "हिन्दी", "\n", "\n\n", "    ", "# h\n", "## h\n\n",
     "```\n", "def f():\n", "class A:\n", "    return x\n", "@d\n", "x" * 130, "ab" * 60, ". ", "(", "[CLS]", "[MASK]",
     "\t", "﷽", "\u200b", "İ"]
)  # fmt: skip
TEXTS = st.lists(WORDS | st.text(max_size=5), max_size=120).map(" ".join) | st.lists(WORDS, max_size=120).map("".join)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.sampled_from(["prose", "markdown", "python", "rust", "text"]), st.sampled_from([0, 8]))
def test_nothing_is_lost_and_everything_fits(text: str, kind: str, overlap: int) -> None:
    layouts = {"prose": layout.prose, "markdown": layout.markdown}
    made = layouts[kind](text) if kind in layouts else layout.code(text, kind)
    spans = chunker(overlap=overlap).spans(made)
    assert_whole(text, spans, SMALL)
    assert spans == chunker(overlap=overlap).spans(made)


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "漢" * 10_000, "👍🏽" * 2_000, "ab1" * 3_000, " ".join(["x"] * 10_000), "e\u0301" * 500]
)
def test_endless_words_are_cut(text: str) -> None:
    spans = chunker(window=256).spans(layout.prose(text))
    assert_whole(text, spans, 256)
    assert all(end - start <= 254 * 16 for start, end in spans)


def test_a_word_whose_parts_have_more_tokens_than_itself_is_cut_again() -> None:
    text = "ab1" * 230  # one unknown token as a whole, a token for each letter or two in what a cut leaves over
    assert tokens(text) == 3
    assert_whole(text, chunker().spans(layout.prose(text)), SMALL)


def test_hard_cuts_part_no_grapheme() -> None:
    text = "👨\u200d👩\u200d👧" * 200
    assert all(piece.startswith("👨") for piece in chunks(layout.prose(text)))


def test_small_pieces_are_joined_up_to_the_window() -> None:
    text = "\n\n".join(f"Paragraph {number}." for number in range(50))
    pieces = chunks(layout.prose(text))
    assert all(tokens(f"{a}\n\nParagraph 10.") > SMALL for a in pieces[:-1])


def test_paragraphs_before_lines_before_sentences() -> None:
    first, second = "One two three four five. " * 4, "Six seven eight nine ten. " * 4
    assert chunks(layout.prose(f"{first}\n\n{second}")) == [first.strip(), second.strip()]


def test_a_heading_stays_with_its_text() -> None:
    sections = [f"## Heading {n}\n\n" + "Some words in a sentence. " * 5 for n in range(4)]
    pieces = chunks(layout.markdown("\n".join(sections)))
    assert [piece.splitlines()[0] for piece in pieces] == [f"## Heading {n}" for n in range(4)]


def test_a_heading_stays_with_a_text_that_is_cut() -> None:
    pieces = chunks(layout.markdown("Before.\n\n## Heading\n\n" + "Some words in a sentence. " * 20))
    (piece,) = [piece for piece in pieces if "## Heading" in piece]
    assert "## Heading\n\nSome words" in piece


def test_chapters_are_cut_before_their_sections() -> None:
    words = "alpha beta gamma delta. "
    text = f"# A\n\n{words * 2}\n\n## A1\n\n{words}\n\n# B\n\n{words * 2}\n\n## B1\n\n{words}"
    assert [piece[:3] for piece in chunks(layout.markdown(text))] == ["# A", "# B"]


@pytest.mark.parametrize("before", range(0, 40, 4))
def test_a_fence_that_fits_is_not_cut(before: int) -> None:
    fence = "```python\ndef f(x):\n\n    # not a heading\n\n    return x\n```"
    text = "intro " * before + f"\n\n{fence}\n\n" + "Outro words here. " * 8
    assert sum(fence in piece for piece in chunks(layout.markdown(text))) == 1


def test_a_fence_that_does_not_fit_is_cut_at_lines() -> None:
    lines = [f"value_{n} = compute({n})" for n in range(30)]
    text = "```\n" + "\n".join(lines) + "\n```"
    cut = [line for piece in chunks(layout.markdown(text)) for line in piece.splitlines()]
    assert cut == ["```", *lines, "```"]


def test_code_is_cut_at_definitions_with_their_decorators_and_indentation() -> None:
    method = "    # why\n    @cached\n    def name(self):\n        return self.first + self.second * 3\n"
    text = "class A:\n" + "\n".join(method.replace("name", f"name_{n}") for n in range(4))
    pieces = chunks(layout.code(text, "python"))
    assert len(pieces) == 4
    assert all(piece.startswith("    # why\n    @cached\n") for piece in pieces[1:])


@pytest.mark.parametrize(
    "language", ["python", "cpp", "js", "latex", "html", "rust", "perl", "yaml", "no such language"]
)
def test_every_language_has_a_layout(language: str) -> None:
    text = "\n\n".join(f"line {n} of a file in some language" for n in range(30))
    assert_whole(text, chunker().spans(layout.code(text, language)), SMALL)


def test_overlap_begins_with_a_sentence() -> None:
    text = " ".join(f"This is sentence number {n}." for n in range(30))
    spans = chunker(overlap=10).spans(layout.prose(text))
    for (_, before), (start, _) in itertools.pairwise(spans):
        assert start < before
        assert text[start:].startswith("This is")
        assert tokens(text[start:before]) - 2 <= 10


def test_overlap_falls_back_to_words() -> None:
    text = " ".join(f"word{n:03}" for n in range(100))
    spans = chunker(overlap=10).spans(layout.prose(text))
    for (_, before), (start, _) in itertools.pairwise(spans):
        assert start < before
        assert text[start:].startswith("word")


def test_no_overlap_into_a_new_section() -> None:
    text = "\n".join(f"# Heading {n}\n\n" + "Some words in a sentence. " * 4 for n in range(4))
    assert all(piece.startswith("#") for piece in chunks(layout.markdown(text), overlap=10))


def test_the_prompt_counts_against_the_window() -> None:
    text = "word " * 200
    prompt = "Represent the article for retrieval: "
    bare, prompted = chunker().spans(layout.prose(text)), chunker(prompt=prompt).spans(layout.prose(text))
    assert len(prompted) > len(bare)
    assert all(tokens(prompt + text[start:end]) <= SMALL for start, end in prompted)


def test_an_overlap_beyond_half_the_window_is_refused() -> None:
    with pytest.raises(SettingsError, match="LLMTWIN_CHUNK_OVERLAP"):
        chunker(overlap=30)
