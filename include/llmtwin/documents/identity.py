"""Names that never change: the same page, however often crawled, is the same document.

Identifiers are UUIDv5 (RFC 9562, section 5.5) of a business key, so that a redelivery, a backfill and a second crawl
all land on the same row.
"""

from __future__ import annotations

import hashlib
import uuid
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://llmtwin.dev")

# Query parameters that say how a reader came to a page, not which page it is.
_TRACKING_PREFIXES = ("utm_", "mc_")
_TRACKING_NAMES = {"fbclid", "gclid", "igshid", "ref_src", "source", "sk", "triedredirect"}
_DEFAULT_PORTS = {"http": 80, "https": 443, "ssh": 22}


def canonical_link(link: str) -> str:
    """Return the one spelling of a link under which its document is stored.

    Scheme and host in lower case, http taken as https, no default port, no user name or password, no fragment, no
    tracking parameters, remaining parameters sorted, no slash at the end. A path on this machine becomes a ``file:``
    link only in the sources package; here anything without a scheme is left as it is.
    """
    parts = urlsplit(link.strip())
    if not parts.scheme or not parts.netloc:
        return link.strip()
    scheme = "https" if parts.scheme.lower() == "http" else parts.scheme.lower()
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    port = parts.port
    if port is not None and port not in (_DEFAULT_PORTS.get(parts.scheme.lower()), _DEFAULT_PORTS.get(scheme)):
        host = f"{host}:{port}"
    query = sorted(
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name.lower() not in _TRACKING_NAMES and not name.lower().startswith(_TRACKING_PREFIXES)
    )
    path = quote(unquote(parts.path), safe="/:@!$&'()*+,;=~-._").rstrip("/")
    return urlunsplit((scheme, host, path, urlencode(query), ""))


def document_id(kind: str, link: str) -> uuid.UUID:
    """Return the identifier of the document of this kind at this link."""
    return uuid.uuid5(NAMESPACE, f"document:{kind}:{canonical_link(link)}")


def user_id(full_name: str) -> uuid.UUID:
    """Return the identifier of an author; letter case and runs of spaces do not make another author."""
    return uuid.uuid5(NAMESPACE, f"user:{' '.join(full_name.split()).casefold()}")


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
