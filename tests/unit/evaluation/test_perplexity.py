import math

import pytest

from llmtwin.evaluation.perplexity import Surprise, bits_apart, by_document, perplexity, ratio

ONE = {"a": Surprise(tokens=10, nats=10.0), "b": Surprise(tokens=30, nats=90.0)}
OTHER = {"b": Surprise(tokens=30, nats=120.0), "a": Surprise(tokens=10, nats=20.0)}


def test_every_token_weighs_the_same_whichever_document_it_is_from() -> None:
    assert perplexity(ONE, 0).value == pytest.approx(math.exp(100 / 40))


def test_a_coin_that_is_thrown_has_perplexity_two() -> None:
    found = perplexity({"a": Surprise(tokens=8, nats=8 * math.log(2))}, 0)
    assert found.value == pytest.approx(2.0)
    assert found.interval is None


def test_a_ratio_is_of_the_same_documents_whatever_their_order() -> None:
    assert ratio(ONE, OTHER, 0).value == pytest.approx(math.exp((100 - 140) / 40))
    assert bits_apart(ONE, OTHER, 0).value == pytest.approx((100 - 140) / 40 / math.log(2))
    # Both documents are one nat a token apart, so no resample can change it.
    assert ratio(ONE, OTHER, 0).interval == pytest.approx((math.exp(-1), math.exp(-1)))
    assert perplexity(ONE, 0).interval != perplexity(OTHER, 0).interval


def test_texts_of_a_document_are_added_up() -> None:
    texts = [Surprise(tokens=1, nats=2.0), Surprise(tokens=2, nats=3.0), Surprise(tokens=4, nats=5.0)]
    assert by_document(["a", "b", "a"], texts) == {"a": Surprise(tokens=5, nats=7.0), "b": texts[1]}
