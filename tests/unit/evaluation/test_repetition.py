import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtwin.evaluation.repetition import distinct, longest_repeat, repetition


def test_known_values() -> None:
    assert distinct(["a", "b", "a", "b"]) == pytest.approx(2 / 3)  # ab ba ab
    assert repetition(["a", "b", "c", "d", "a", "b", "c", "d"]) == pytest.approx(1 / 5)  # abcd, twice
    assert repetition(["a", "b", "c", "d", "e"]) == 0.0
    assert longest_repeat(["a", "b", "c", "x", "a", "b", "c", "y"]) == 3
    assert longest_repeat(["a", "a", "a", "a", "a", "a"]) == 3  # without overlap
    assert longest_repeat(["a", "b", "c"]) == 0


def test_texts_too_short_have_no_value() -> None:
    assert distinct(["a"]) is None
    assert repetition(["a", "b", "c"]) is None
    assert longest_repeat([]) == 0


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_the_longest_repeat_is_that_of_trying_all(words: list[str]) -> None:
    def there(size: int) -> bool:
        return any(
            words[start : start + size] == words[later : later + size]
            for start in range(len(words))
            for later in range(start + size, len(words) - size + 1)
        )

    assert longest_repeat(words) == max(size for size in range(len(words) // 2 + 1) if size == 0 or there(size))
