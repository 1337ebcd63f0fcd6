"""Extracts: exact pieces of a text, never cut inside a sentence or a block of code."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.authors import cleaned

from llmtwin.datasets.extracts import Extract, cut, without_marks
from llmtwin.datasets.tokens import Tokenizer


def texts(extracts: list[Extract]) -> list[str]:
    return [extract.text for extract in extracts]


def test_a_cut_falls_between_sections_and_the_heading_is_what_the_extract_answers(tokenizer: Tokenizer) -> None:
    text = "Before all.\n\n# One *bold* step\n\nFirst text.\n\n## Deeper\n\nSecond text.\n\n# Two\n\nThird text."
    found = cut(cleaned(1, text), tokenizer, 50).extracts
    assert texts(found) == ["Before all.", "First text.", "Second text.", "Third text."]
    assert [one.headings for one in found] == [(), ("One bold step",), ("One bold step", "Deeper"), ("Two",)]
    assert [one.position for one in found] == [0, 1, 2, 3]


def test_paragraphs_of_a_section_are_packed_to_about_the_same_length(tokenizer: Tokenizer) -> None:
    paragraph = "The heron waits at the river until the evening comes and goes away."
    text = "\n\n".join([paragraph] * 10)
    found = cut(cleaned(1, text), tokenizer, 100).extracts
    assert [one.part for one in found] == [0, 1]
    assert [one.text.count("heron") for one in found] == [5, 5]


def test_a_paragraph_that_is_too_long_is_cut_between_sentences(tokenizer: Tokenizer) -> None:
    text = " ".join(f"Sentence number {number} ends here." for number in range(40))
    found = cut(cleaned(1, text), tokenizer, 64).extracts
    assert len(found) > 3
    assert all(one.text.startswith("Sentence") and one.text.endswith("here.") for one in found)
    assert " ".join(texts(found)) == text


def test_a_sentence_or_code_that_does_not_fit_is_left_out_and_counted(tokenizer: Tokenizer) -> None:
    code = "```python\n" + "value = compute(value)\n" * 60 + "```"
    text = f"A short one.\n\n{code}\n\n{'and so on, ' * 200}at last.\n\nAnother short one."
    result = cut(cleaned(1, text), tokenizer, 64)
    assert texts(result.extracts) == ["A short one.", "Another short one."]
    assert result.left_out == {"code too long": 1, "sentence too long": 1}


def test_code_stays_whole_and_with_the_paragraph_that_announces_it(tokenizer: Tokenizer) -> None:
    code = "```python\nfirst = 1\n\n\nsecond = 2\n```"
    filler = "Some words that fill the extract up. " * 4
    text = f"{filler}\n\nThis is how it goes:\n\n{code}\n\n{filler}"
    found = cut(cleaned(1, text), tokenizer, 40).extracts
    assert [one.text for one in found if "first" in one.text] == [f"This is how it goes:\n\n{code}"]


def test_what_is_unwanted_is_left_out_and_no_extract_reaches_across_it(tokenizer: Tokenizer) -> None:
    text = "One text.\n\nShare this post\n\nAnother text."
    result = cut(cleaned(1, text), tokenizer, 50, lambda paragraph: paragraph.startswith("Share"))
    assert texts(result.extracts) == ["One text.", "Another text."]
    assert result.left_out == {"repeated": 1}


@pytest.mark.parametrize("mark", ["- ", "* ", "{}. ", "{}) "])
def test_a_long_list_is_cut_between_its_items(mark: str, tokenizer: Tokenizer) -> None:
    items = [f"{mark.format(number)}Item {number} has a part. It has another one" for number in range(1, 25)]
    found = cut(cleaned(1, "\n".join(["They are:", *items])), tokenizer, 80).extracts
    assert len(found) > 3
    assert found[0].text.startswith(f"They are:\n{items[0]}\n")
    assert "\n".join(texts(found)) == found[0].document.content
    assert all(one.text.endswith("another one") for one in found)


def test_an_item_that_is_too_long_is_cut_between_its_sentences(tokenizer: Tokenizer) -> None:
    long = " ".join(f"Sentence number {number} ends here." for number in range(40))
    found = cut(cleaned(1, f"7. Short one\n8. {long}\n9. Last one"), tokenizer, 64).extracts
    assert " ".join(texts(found)).replace("\n", " ") == f"7. Short one 8. {long} 9. Last one"
    assert all(one.text.endswith(("here.", "Last one")) for one in found)


def test_a_number_at_the_begin_of_a_line_begins_no_list_in_the_midst_of_a_paragraph(tokenizer: Tokenizer) -> None:
    text = "\n".join(f"it was in the year\n{year}. but nobody knew" for year in range(1998, 2020))
    assert cut(cleaned(1, text), tokenizer, 64).left_out == {"sentence too long": 1}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.lists(
                st.sampled_from(
                    ["The heron waits.", "Who knows?", "It costs 3.5 dollars!", "E.g. this one.", "終わり。"]
                ),
                min_size=1,
                max_size=12,
            ).map(" ".join),
            st.sampled_from(["# One", "## Two", "```\ncode. here\n\nmore code\n```", "- item one\n- item two", "***"]),
        ),
        max_size=12,
    ),
    st.integers(min_value=8, max_value=80),
)
def test_every_extract_is_written_so_fits_and_cuts_no_sentence(
    tokenizer: Tokenizer, blocks: list[str], most: int
) -> None:
    text = "\n\n".join(["Start.", *blocks])
    position = 0
    for extract in cut(cleaned(1, text), tokenizer, most).extracts:
        assert 0 < tokenizer.count(extract.text) == extract.tokens <= most
        start = text.index(extract.text, position)
        position = start + len(extract.text)
        assert extract.text.count("```") % 2 == 0
        before, after = text[:start].rstrip(" "), text[position:].lstrip(" ")
        assert not before or before[-1] in ".?!。\n"
        assert not after or after[0] == "\n" or text[position - 1] in ".?!。"


def test_a_heading_loses_its_marks() -> None:
    assert without_marks("## 3\\. **Bold** `code` ##") == "3. Bold code"


def test_a_text_without_anything_has_no_extracts(tokenizer: Tokenizer) -> None:
    assert cut(cleaned(1, "# Only a heading"), tokenizer, 50).extracts == []
