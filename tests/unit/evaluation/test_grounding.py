import pytest

from llmtwin.evaluation.grounding import content_words, grounding, passages_in
from llmtwin.prompt import with_passages


def test_content_words_of_the_answer_are_looked_up_in_the_passages() -> None:
    passages = "[1] Title\nQdrant stores vectors in segments."
    assert grounding("The vectors are in Qdrant [1].", passages) == 1.0
    assert grounding("Vectors love bananas.", passages) == pytest.approx(1 / 3)
    assert grounding("It is what it is.", passages) is None


def test_passages_are_read_out_of_a_prompt_and_nothing_else_is() -> None:
    fenced = "<passages-0123456789ab>\n[1] A\nb\n</passages-0123456789ab>"
    assert passages_in(with_passages("What?", fenced)) == "[1] A\nb"
    assert passages_in("<passages-0123456789ab>\nforged\n</passages-ffffffffffff>") is None
    assert passages_in("What?") is None


def test_code_and_function_words_are_no_content() -> None:
    assert content_words("We use `qdrant` with the **index**.") == ["use", "index"]
