"""The sparse half of hybrid search."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtwin.features.sparse import AVERAGE_LENGTH, K1, B, encode_document, encode_query, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Straße ﬁne ＡＢＣ", ["strasse", "fine", "abc"]),
        ("naïve cafe\u0301", ["naïve", "café"]),
        ("Don’t don't", ["don't", "don't"]),
        ("max_len", ["max_len", "max", "len"]),
        ("parseHTTPResponse2", ["parsehttpresponse2", "parse", "http", "response", "2"]),
        ("__init__", ["init"]),
        ("gpt-4 Hello WORLD", ["gpt", "4", "hello", "world"]),
        ("机器学习 字", ["机器", "器学", "学习", "字"]),
        ("日本go言語", ["日本", "go", "言語"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("한국어 텍스트", ["한국어", "텍스트"]),
        ("… 👍 --- ", []),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert list(terms(text)) == expected


def test_a_document_weighs_its_terms_by_bm25() -> None:
    indices, values = encode_document("a b a")
    weights = dict(zip(indices, values, strict=True))
    norm = K1 * (1 - B + B * 3 / AVERAGE_LENGTH)
    expected = {
        encode_query("a")[0][0]: 2 * (K1 + 1) / (2 + norm),
        encode_query("b")[0][0]: 1 * (K1 + 1) / (1 + norm),
    }
    assert weights == pytest.approx(expected)


def test_a_longer_document_weighs_the_same_term_less() -> None:
    (index,), (short,) = encode_document("needle")
    indices, values = encode_document("needle " + " ".join(f"w{i}" for i in range(500)))
    assert values[indices.index(index)] < short


def test_a_query_weighs_each_term_one() -> None:
    indices, values = encode_query("Cats and cats")
    assert len(indices) == 2
    assert values == [1.0, 1.0]


def test_query_and_document_meet_across_case_and_parts() -> None:
    document = encode_document("def parseResponse(): ...")[0]
    assert set(encode_query("RESPONSE")[0]) <= set(document)
    assert set(encode_query("parseresponse")[0]) <= set(document)


@given(st.text())
def test_indices_are_distinct_ascending_uint32(text: str) -> None:
    indices, values = encode_document(text)
    assert indices == sorted(set(indices))
    assert all(0 <= index < 2**32 for index in indices)
    assert all(value > 0 for value in values)
    assert set(encode_query(text)[0]) == set(indices)
