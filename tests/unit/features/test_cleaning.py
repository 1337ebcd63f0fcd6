"""Cleaning keeps what carries meaning and makes the rest plain."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtwin.features.cleaning import clean_code, clean_prose

# Pieces that interact: code, fences, bullets, joiners, styled letters, mojibake, URLs.
PIECES = [
    "```", "~~~\n", "`", "``", "\n", "\n\n", "    ", "\t", "- ", "• ", "# ", "> ", "1. ", "“", "’", "–", "—", "\u00a0",
    "\u200b", "\u200c", "\u200d", "\ufeff", "\u00ad", "𝗯", "𝘪", "ℎ", "é", "e\u0301", "漢", "ｱ", "ﬁ", "½", "می", "न्",
    "👩", "👍🏽", "❤\ufe0f", "1\ufe0f\u20e3", "🇩🇪", "\U0001f3f4", "\U000e0067", "https://a.b/c–d", "[x](https://a.b)",
    "<https://a.b>", "[x]: https://a.b",
    "â\x80\x99", "\x93", "&apos;", "word", " ", "\r\n", "\r", "\x0c", "\u2028", "\x00",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=30).map("".join)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("“Hi”, it’s ‚me‛", "\"Hi\", it's 'me'"),
        ("1990–2000, state‑of‑the‑art, −5", "1990-2000, state-of-the-art, -5"),
        ("yes — no ― maybe", "yes — no — maybe"),
        ("𝗯𝗼𝗹𝗱 𝘪𝘵𝘢𝘭𝘪𝘤 𝑡ℎ𝑒 𝟙𝟚", "bold italic the 12"),
        ("• one\n\n  ● two", "- one\n\n  - two"),
        ("a\u200bb\ufeffc\u00add\x07e", "abcde"),
        ("a\u00a0b\u2009c", "a b c"),
        ("one  \r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("\x93quoted\x94 itâ\x80\x99s", '"quoted" it\'s'),
        ("ignore\U000e0061\U000e0062 this", "ignore this"),
        ("a\u200db", "ab"),
    ],
)
def test_makes_variants_plain(raw: str, cleaned: str) -> None:
    assert clean_prose(raw) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "naïve café, Ångström, Łódź",
        "cafe\u0301 decomposed",
        "œuvre, æble, ﬁne, ½, x², H₂O, ℝ, ℎ",
        "全角ＡＢＣ１２３、「引用」。\u3000次",
        "می\u200cخواهم",
        "ന്\u200d",
        "हिन्दी में",
        "👨\u200d👩\u200d👧 👍🏽 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f ❤\ufe0f",
        "« guillemets »",
        "two  spaces | in   a table",
        "**bold** and *italic* and - dash",
        "see https://en.wikipedia.org/wiki/A–B_(c).",
    ],
)
def test_leaves_meaning_alone(text: str) -> None:
    assert clean_prose(text) == text


@pytest.mark.parametrize(
    "code",
    [
        "```python\nx = “a”  \n\n\n\n\t• y\u200b\n```\n",
        "~~~\n“a” –\n```\n~~~\n",
        "    x = “a”\n\n\n\n    y  –\n",
        "\ty = “a”\n",
        "  - item\n\n    ```\n    “a”   \n    ```\n",
        "> ```\n> “a”  –\n> ```\n",
    ],
)
def test_code_blocks_stay_byte_for_byte(code: str) -> None:
    cleaned = clean_prose(f"“before”\n\n{code}\n“after”\n", drop_emoji=True, drop_urls=True)
    assert cleaned == f'"before"\n\n{code}\n"after"'


def test_inline_code_stays_byte_for_byte() -> None:
    assert clean_prose("“a” ``x = `“–”`  `` “b” `“` c") == '"a" ``x = `“–”`  `` "b" `“` c'


def test_a_fence_that_cleaning_brings_to_light_is_seen() -> None:
    assert clean_prose("\u200b```\n“a”\n```\n“b”") == '```\n"a"\n```\n"b"'


def test_a_lone_backtick_opens_nothing() -> None:
    assert clean_prose("a ` “b”\n\n“c” ` d") == 'a ` "b"\n\n"c" ` d'


def test_drops_emoji_whole_when_told_to() -> None:
    text = "a 👨\u200d👩\u200d👧b 👍🏽c 🇩🇪d 1\ufe0f\u20e3e ❤\ufe0ff © ™ 1 # ✓"
    assert clean_prose(text, drop_emoji=True) == "a b c d e f © ™ 1 # ✓"


def test_drops_urls_but_not_their_words() -> None:
    text = (
        "See [the docs](https://a.b/c_(d)), <https://e.f>, ![pic](http://g.h) at https://i.j/k?l=m.\n\n[1]: https://n.o"
    )
    assert clean_prose(text, drop_urls=True) == "See the docs, , pic at ."


def test_urls_in_code_are_code() -> None:
    assert clean_prose("`curl https://a.b`", drop_urls=True) == "`curl https://a.b`"


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.booleans(), st.booleans())
def test_cleaning_twice_is_cleaning_once(text: str, drop_emoji: bool, drop_urls: bool) -> None:
    once = clean_prose(text, drop_emoji=drop_emoji, drop_urls=drop_urls)
    assert clean_prose(once, drop_emoji=drop_emoji, drop_urls=drop_urls) == once


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(categories=["Lu", "Ll", "Lo", "Mn", "Nd"]), max_size=200))
def test_letters_marks_and_digits_survive(text: str) -> None:
    # All but the styled letters, which are to become plain.
    plain = re.sub("[\U0001d400-\U0001d7ff]", "", text)
    assert clean_prose(plain) == plain


@given(st.text())
def test_code_changes_in_line_ends_only(text: str) -> None:
    assert clean_code(text) == text.replace("\r\n", "\n")


def test_a_megabyte_of_hard_cases_takes_no_quadratic_time() -> None:
    for piece in ("`", "` ``", "[", "<https://", "\n\n    a", "• ", "https://a(", "\U000e0041"):
        clean_prose(piece * (100_000 // len(piece)), drop_emoji=True, drop_urls=True)
