"""Sentences: what ends one, in several languages, and what only looks like an end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtwin.datasets.sentences import sentences


def parts(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in sentences(text, language)]


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["One.", "Two!", "Three?"]),
        ("en", ["The U.S. Government said so.", "It was late."]),
        ("en", ["The Ph.D. Stanford gave him was worth little.", "So he left."]),
        ("en", ["It began on Jan. 5 at noon.", "It ended on Feb. 3, 2024."]),
        ("en", ["Use tools, e.g. Qdrant, i.e. Dr. Who by J. R. Smith.", "Done."]),
        ("en", ["Gen. Lee and Sen. Ray met Gov. Brown of St. Louis.", "They talked."]),
        ("en", ["We met at 5 p.m. Monday.", "Nobody came."]),
        ("en", ["See Fig. 3, Eq. 2 and Sec. 4.1 of vol. 7 twice.", "Then go on."]),
        ("en", ["Acme Inc. Chairman Bob et al. bought Foo Corp. Ltd. shares.", "Why?"]),
        ("en", ["Node.js and ASP.NET 4.8 are fine.", "So is v1.2.3."]),
        ("en", ["It costs 3.5 dollars.", "Cheap."]),
        ("en", ["Wait... what?", "Yes."]),
        ("en", ['He said "stop."', "Then he left."]),
        ("en", ["Ends (really!).", "“Also so.”", "Next."]),
        ("en", ["**Bold ends.**", "Next one"]),
        ("en", ["Run `a. B(c)! D` first.", "See https://example.org/a?b=C!Day.", "Then stop."]),
        ("en", ["1. First.", "It has parts.", "**2.** Second.", "110\\. Tenth.\n11."]),
        ("en", ["What was left of them: 8."]),
        ("en", ["As GPT-2 is, so is Ana's.", "Or ZeRO-2.", "A note.[1]", "Its Size (H) is given.", "Look."]),
        ("en", ["It was great!", "All of it. 🎉"]),
        ("en", ["no end at all"]),
        (
            "de",
            [
                "Prof. Dr. Müller kam am 5. Mai, z.B. zur Fa. Meier.",
                "Das war z. B. Dr. Schmidt bzw. Fr. Weiß.",
                "Ende.",
            ],
        ),
        ("es", ["La Sra. López vive en EE.UU. Desde allí escribe.", "¿Qué dice el Dr. Gil?", "¡Nada!"]),
        (
            "fr",
            [
                "M. Dupont et Mme. Durand sont là, c.-à-d. chez eux.",
                "Le IVe siècle av. J.-C. finit.",
                "Voilà !",
                "Bien.",
            ],
        ),
        ("pt", ["O Sr. Silva mora na Av. Brasil.", "Ele escreve."]),
        ("ro", ["Dl. Popescu stă pe str. Mare nr. 5 acum.", "Gata."]),
        ("ru", ["В 2010 г. Москва росла, т.е. строилась.", "Потом нет."]),
        ("ja", ["これは文です。", "「本当？」", "これも文です。"]),
        ("zh", ["他说：“好。”", "然后走了。", "真的吗？"]),
        ("hi", ["यह वाक्य है।", "यह भी।"]),
        ("ar", ["هل أنت بخير؟", "نعم."]),
    ],
)
def test_sentences(language: str, expected: list[str]) -> None:
    between = "" if language in ("ja", "zh") else " "
    assert parts(between.join(expected), language) == expected


def test_what_lies_between_sentences_is_white_space_only() -> None:
    assert parts("  One\n goes on.\n\tTwo.\xa0Three. ") == ["One\n goes on.", "Two.", "Three."]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["One. ", "U.S. ", "e.g. ", "8. ", "`a. B`", "**", "? ", "…", "\n", "\xa0", "\u2028", " A\u3000."]
            ),
            st.text(max_size=4),
        ),
        max_size=20,
    ).map("".join),
    st.sampled_from(["en", "de", "fr", "ru", "ja", "ar", "tlh", ""]),
)
def test_no_character_is_lost_whatever_the_text(text: str, language: str) -> None:
    position = 0
    for start, end in sentences(text, language):
        assert start < end
        assert text[position:start].strip() == ""
        assert text[start:end] == text[start:end].strip()
        position = end
    assert text[position:].strip() == ""
