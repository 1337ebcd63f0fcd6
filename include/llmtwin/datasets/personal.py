"""Personal data and secrets, by pattern and check digit.

Recognised: e-mail addresses, telephone numbers in international form, payment cards, IBANs, and the keys and tokens
that detect-secrets knows by their form. Names are none: an author's text is full of them, and they are its subject.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin

_EMAIL = re.compile(r"[\w.+-]+@\w[\w-]*(?:\.\w[\w-]*)*\.[^\W\d_]{2,}")
_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-]|\.\d)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}\b")
# Those guess by entropy or by the word in front, and find much that is none in texts about software.
_GUESSING = {"Base64 High Entropy String", "Hex High Entropy String", "Secret Keyword", "Public IP (ipv4)"}


def found_in(text: str) -> set[str]:
    """Return what kinds of personal data and secrets a text holds."""
    return set(_found(text))


def _found(text: str) -> Iterator[str]:
    from phonenumbers import PhoneNumberMatcher
    from stdnum import iban, luhn

    if _EMAIL.search(text):
        yield "e-mail address"
    if "+" in text and next(iter(PhoneNumberMatcher(text, None)), None):
        yield "telephone number"
    if any(luhn.is_valid(re.sub(r"\D", "", match[0])) for match in _CARD.finditer(text)):
        yield "payment card"
    if any(iban.is_valid(match[0]) for match in _IBAN.finditer(text)):
        yield "IBAN"
    if any(found for plugin in _plugins() for line in text.splitlines() for found in plugin.analyze_string(line)):
        yield "secret"


@cache
def _plugins() -> list[BasePlugin]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    known: Mapping[str, type[BasePlugin]] = get_mapping_from_secret_type_to_class()
    return [known[name]() for name in sorted(known.keys() - _GUESSING)]
