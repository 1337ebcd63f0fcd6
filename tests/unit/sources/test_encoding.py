"""Bytes to text."""

import pytest

from llmtwin.sources.encoding import decode

JAPANESE = "日本語の文章をここに書きます。コードとカタカナも。" * 3
FRENCH = "Où est le café ? « Là-bas », répondit-il, “très” loin… " * 3


@pytest.mark.parametrize(
    ("text", "encoding", "declared"),
    [
        (FRENCH, "utf-8", None),
        (FRENCH, "utf-8", "iso-8859-1"),  # the default of many servers, and wrong
        (FRENCH, "cp1252", "iso-8859-1"),  # quotes and dots that only windows-1252 has
        (FRENCH, "cp1252", "windows-1252"),
        (FRENCH, "utf-8-sig", None),
        (FRENCH, "utf-16", None),
        (FRENCH, "utf-8", "no-such-encoding"),
        (FRENCH, "utf-8", "rot13"),
        (FRENCH, "utf-8", "unicode_escape"),
        (FRENCH, "cp1252", None),
        (JAPANESE, "euc_jp", None),
        (JAPANESE, "shift_jis", "Shift_JIS"),
        (JAPANESE, "euc_jp", '"EUC-JP"'),
        (JAPANESE, "iso2022_jp", "iso-2022-jp"),
        (JAPANESE, "shift_jis", None),
    ],
)
def test_the_text_comes_back_as_it_was_written(text: str, encoding: str, declared: str | None) -> None:
    assert decode(text.encode(encoding), declared) == text


@pytest.mark.parametrize(
    "meta", ['<meta charset="shift_jis">', "<meta http-equiv=x content='text/html; charset=Shift_JIS'>"]
)
def test_a_page_may_declare_its_own_encoding(meta: str) -> None:
    page = f"<html><head>{meta}</head><body>{JAPANESE}</body></html>"
    assert decode(page.encode("shift_jis")) == page


def test_a_page_that_can_be_read_is_not_in_utf_16_whatever_it_says() -> None:
    page = '<meta charset="utf-16"><p>plain text, of even length</p>'
    assert len(page) % 2 == 0
    assert decode(page.encode()) == page


def test_one_damaged_character_does_not_cost_the_text() -> None:
    text = "Ein langer Text über Bäume. " * 100
    damaged = text.encode() + b"\xff" + text.encode()
    assert decode(damaged) == f"{text}\ufffd{text}"


@pytest.mark.parametrize("content", [bytes(range(256)) * 8, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100)])
def test_what_is_no_text(content: bytes) -> None:
    assert decode(content) is None
