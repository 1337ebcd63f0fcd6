import pytest

from llmtwin.evaluation.words import first_words, function_words, prose, words


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("Look at `x = 1` **here**, [now](https://a.example/b).", "Look at   here, now."),
        ("## A heading\n- one\n- two", "A heading\none\ntwo"),
        ("Before.\n\n```python\nimport torch\n```\n\nAfter.", "Before.\n\n\nAfter."),
        ("See https://a.example/b?c=d [1] and ![alt text](x.png).", "See    and  ."),
        ("> quoted", "quoted"),
        ("~~~\nnever closed", ""),
        ("", ""),
    ],
)
def test_prose_is_without_code_and_markup(markdown: str, plain: str) -> None:
    assert prose(markdown) == plain


def test_words_are_letters_with_apostrophes_in_one_case() -> None:
    assert words("Don’t STOP: l'été costs 3 €, e\u0301te\u0301!") == [
        "don't",
        "stop",
        "l'été",
        "costs",
        "e\u0301te\u0301",
    ]
    assert words("'quoted'") == ["quoted"]
    assert words("日本 123") == ["日本"]


def test_the_beginning_of_a_text_is_cut_after_a_word() -> None:
    assert first_words("One, two; three.", 2) == "One, two"
    assert first_words("One", 5) == "One"


def test_function_words_are_closed_classes_only() -> None:
    assert {"the", "of", "don't", "whereas", "i"} <= function_words()
    assert not {"computer", "system", "fire", "model", "interest"} & function_words()
