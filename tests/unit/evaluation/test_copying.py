from hypothesis import given
from hypothesis import strategies as st

from llmtwin.evaluation.copying import Copy, TrainingText


def test_the_longest_run_is_found_with_its_place() -> None:
    training = TrainingText([["we", "never", "copy", "rows"], ["the", "quick", "brown", "fox", "jumps"]])
    assert training.longest_copy(["see", "a", "quick", "brown", "fox", "run"]) == Copy(3, 2, 1)
    assert training.longest_copy(["nothing", "here"]) == Copy(0, 0, None)
    assert training.longest_copy([]) == Copy(0, 0, None)


def test_a_run_does_not_go_from_one_text_into_the_next() -> None:
    assert TrainingText([["a", "b"], ["c", "d"]]).longest_copy(["a", "b", "c", "d"]).length == 2


def test_there_may_be_no_training_text() -> None:
    assert TrainingText([]).longest_copy(["a"]) == Copy(0, 0, None)
    assert TrainingText([[]]).longest_copy(["a"]) == Copy(0, 0, None)


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=25), max_size=4), st.lists(st.sampled_from("abcd"), max_size=20)
)
def test_its_length_is_that_of_trying_all(texts: list[list[str]], answer: list[str]) -> None:
    runs = {
        tuple(text[start:end])
        for text in texts
        for start in range(len(text))
        for end in range(start + 1, len(text) + 1)
    }
    longest = max(
        (
            end - start
            for start in range(len(answer))
            for end in range(start + 1, len(answer) + 1)
            if tuple(answer[start:end]) in runs
        ),
        default=0,
    )
    found = TrainingText(texts).longest_copy(answer)
    assert found.length == longest
    if found.text is not None:
        run = "".join(answer[found.start : found.start + found.length])
        assert run in "".join(texts[found.text])
