import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtwin.evaluation.intervals import Estimate, bootstrap, draws, jackknife, mean


def test_the_mean_of_all_rows_is_not_the_mean_of_the_documents() -> None:
    found = mean([[1.0, 1.0, 1.0], [4.0]], seed=0)
    assert found.value == pytest.approx(7 / 4)
    assert found.interval == (1.0, 4.0)  # the one document or the other
    assert found.documents == 2


def test_one_document_has_no_interval() -> None:
    assert mean([[1.0, 3.0]], seed=0) == Estimate(value=2.0, documents=1)
    assert jackknife(sum, [3.0]) == Estimate(value=3.0, documents=1)


def test_the_same_seed_gives_the_same_interval() -> None:
    documents = [[float(number)] for number in range(20)]
    assert mean(documents, seed=3) == mean(documents, seed=3)
    assert mean(documents, seed=3).interval != mean(documents, seed=4).interval


def test_a_bootstrap_of_a_mean_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, size=400)
    found = mean([[value] for value in values], seed=0)
    assert found.interval is not None
    low, high = found.interval
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.05)


def test_comparisons_on_the_same_seed_are_paired() -> None:
    one = np.array([1.0, 10.0, 100.0])
    apart = bootstrap(lambda drawn: one[drawn].sum(1) - (one[drawn] - 1).sum(1), 3, seed=0)
    assert apart.interval == (3.0, 3.0)  # unpaired, it would be hundreds wide
    assert (draws(3, 7) == draws(3, 7)).all()


def test_the_jackknife_of_a_mean_is_the_interval_of_students_t() -> None:
    values = [1.0, 2.0, 4.0, 9.0]
    found = jackknife(lambda part: sum(part) / len(part), values)
    error = np.std(values, ddof=1) / 2
    assert found.interval == pytest.approx((4.0 - 3.1824 * error, 4.0 + 3.1824 * error), rel=1e-4)  # t of 3, 97.5 %


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4), min_size=2, max_size=12), st.integers(0, 9))
def test_an_interval_of_a_mean_lies_within_the_documents_means(documents: list[list[float]], seed: int) -> None:
    found = mean(documents, seed)
    means = [sum(one) / len(one) for one in documents]
    assert found.interval is not None
    assert min(means) - 1e-3 <= found.interval[0] <= found.interval[1] <= max(means) + 1e-3
