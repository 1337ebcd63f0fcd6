"""Which language a text is in."""

from __future__ import annotations


def language_of(text: str) -> str:
    """Return the ISO 639-1 code of a text's language, a guess for short ones."""
    import py3langid

    return str(py3langid.classify(text)[0])
