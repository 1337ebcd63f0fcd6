"""Bytes to text, for pages and files that do not always say, or know, their encoding."""

from __future__ import annotations

import codecs
import re

# WHATWG's encoding standard reads these labels as the superset that is really in use.
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
}
# Python knows them as encodings, but no page is written in them.
_NO_ENCODINGS_OF_TEXTS = {
    "idna",
    "punycode",
    "unicode-escape",
    "unicode_escape",
    "raw-unicode-escape",
    "utf-7",
    "undefined",
}
# These decode nearly any bytes, so that a wrong declaration (a server's default) goes unnoticed: UTF-8 is tried before.
_ACCEPTS_ANYTHING = re.compile("cp125|iso8859|latin|koi8|mac")
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_META_WINDOW = 4096
# A page of which fewer characters than this share are damaged is still worth reading.
_TOLERATED_DAMAGE = 0.001


def decode(content: bytes, declared: str | None = None) -> str | None:
    """Return the text, or None when no encoding gives one.

    Tried in order: the byte order mark, the declared encodings (`declared`, a server's word, then the page's own
    ``<meta charset>``), UTF-8, and at last a guess from the bytes. Nothing is replaced by U+FFFD, except single damaged
    characters in a text that is otherwise sound.
    """
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return _decode_strictly(content.removeprefix(mark) if encoding == "utf-8" else content, encoding)
    candidates = _candidates(content, declared)
    for encoding in candidates:
        if (text := _decode_strictly(content, encoding)) is not None:
            return text
    for encoding in candidates:
        text = content.decode(encoding, "replace")
        if text.count("\ufffd") <= len(text) * _TOLERATED_DAMAGE:
            return text
    return _guess(content)


def _candidates(content: bytes, declared: str | None) -> list[str]:
    known = [encoding for name in (declared, _declared_inside(content)) if name and (encoding := _codec(name))]
    trusted = [encoding for encoding in known if not _ACCEPTS_ANYTHING.match(encoding)]
    return list(dict.fromkeys([*trusted, "utf-8", *known]))


def _declared_inside(content: bytes) -> str | None:
    """Return what the page's head says; a head that can be read as ASCII is not in UTF-16, whatever it says."""
    meta = _META_CHARSET.search(content, 0, _META_WINDOW)
    name = meta[1].decode("ascii").lower() if meta else None
    return None if name and name.startswith(("utf-16", "utf-32")) else name


def _codec(name: str) -> str | None:
    """Return the codec for text under this label, or None for a label that no text is under."""
    try:
        codec = codecs.lookup(name.strip("\"' "))
        "".encode(codec.name)
    except (LookupError, ValueError):
        return None
    return None if codec.name in _NO_ENCODINGS_OF_TEXTS else _SUPERSETS.get(codec.name, codec.name)


def _decode_strictly(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeError:
        return None


def _guess(content: bytes) -> str | None:
    import chardet

    encoding = chardet.detect(content)["encoding"]
    return _decode_strictly(content, encoding) if encoding else None
