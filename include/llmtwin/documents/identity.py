"""Names that never change: the same page, however often crawled, is the same document.

Identifiers are UUIDv5 (RFC 9562, section 5.5) of a business key, so that a redelivery, a backfill and a second crawl
all land on the same row.
"""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
import uuid
from urllib.parse import quote, urlsplit, urlunsplit

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://llmtwin.dev")

# Query parameters that say how a reader came to a page, not which page it is.
_TRACKING_PREFIXES = ("utm_", "mc_")
_TRACKING_NAMES = {"fbclid", "gclid", "igshid", "ref_src", "source", "sk", "triedredirect"}
_DEFAULT_PORTS = {"http": 80, "https": 443, "ssh": 22}

_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
_SAFE = "/:@!$&'()*+,;=?~%"
_PERCENT_ENCODED = re.compile("%[0-9A-Fa-f]{2}")
_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


def canonical_link(link: str) -> str:
    """Return the one spelling of a link under which its document is stored.

    Scheme and host in lower case, http taken as https, no default port, no password (and no user name, except for ssh,
    where it is part of the address), no fragment, no tracking parameters, remaining parameters sorted, no slash at the
    end, percent-encoding as in RFC 3986, section 6.2.2: two paths that differ in any byte stay different. A ``file:``
    link, anything without a scheme and anything that is no valid URL is left as it is: the sources package makes the
    one spelling of a local path.
    """
    link = link.strip()
    try:
        parts = urlsplit(link)
        port = parts.port
    except ValueError:
        return link
    if not parts.scheme or not parts.hostname:
        return link
    scheme = "https" if parts.scheme == "http" else parts.scheme
    host = parts.hostname.rstrip(".")
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port not in (_DEFAULT_PORTS.get(parts.scheme), _DEFAULT_PORTS.get(scheme)):
        host = f"{host}:{port}"
    if scheme == "ssh" and parts.username:
        host = f"{parts.username}@{host}"
    return urlunsplit((scheme, host, _normalise(parts.path).rstrip("/"), _canonical_query(parts.query), ""))


def _canonical_query(query: str) -> str:
    """Return the parameters sorted, without those that say how a reader came to the page."""
    pairs = sorted(pair.partition("=") for pair in _normalise(query.replace("+", "%20")).split("&") if pair)
    return "&".join(
        f"{name}={value}"
        for name, _, value in pairs
        if name.lower() not in _TRACKING_NAMES and not name.lower().startswith(_TRACKING_PREFIXES)
    )


def _normalise(encoded: str) -> str:
    """Encode what a URL may not hold, decode what need not be encoded, and spell the rest with capital digits."""
    quoted = quote(_STRAY_PERCENT.sub("%25", encoded), safe=_SAFE, errors="surrogatepass")
    return _PERCENT_ENCODED.sub(_decode_unreserved, quoted)


def _decode_unreserved(encoded: re.Match[str]) -> str:
    character = chr(int(encoded[0][1:], 16))
    return character if character in _UNRESERVED else encoded[0].upper()


def document_id(kind: str, link: str) -> uuid.UUID:
    """Return the identifier of the document of this kind at this link."""
    return uuid.uuid5(NAMESPACE, f"document:{kind}:{canonical_link(link)}")


def user_id(full_name: str) -> uuid.UUID:
    """Return the identifier of an author.

    Neither letter case nor runs of spaces make another author, nor whether an accent is a character of its own, as on
    macOS, or part of its letter.
    """
    name = unicodedata.normalize("NFC", " ".join(full_name.split()).casefold())
    return uuid.uuid5(NAMESPACE, f"user:{name}")


def chunk_id(document: uuid.UUID, position: int) -> uuid.UUID:
    """Return the identifier of the chunk at this position of the document, counted from 0."""
    return uuid.uuid5(NAMESPACE, f"chunk:{document}:{position}")


def event_id(document: uuid.UUID, version: int, op: str) -> uuid.UUID:
    """Return the identifier of an event: the same change, published twice, keeps it."""
    return uuid.uuid5(NAMESPACE, f"event:{document}:{version}:{op}")


def content_hash(text: str) -> str:
    """Return the SHA-256 of the text as 64 hexadecimal digits.

    Lone surrogates (file names and pages with broken encoding can hold them) are hashed as they are.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
