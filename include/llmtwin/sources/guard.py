"""Where links may lead: server-side request forgery and local files, refused unless settings allow them.

A host is resolved once, every address it resolves to is judged, and the connection goes to a judged address: a name
server that answers differently the second time (DNS rebinding) gains nothing. `GuardedTransport` does so for every hop
of a redirect; the git source pins addresses through git's own options.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

import httpx

from llmtwin.errors import ForbiddenLinkError, UnreachableError, UnreadableError
from llmtwin.settings import Settings

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://|$)|(?:file|data|mailto|javascript|ext|fd):", re.IGNORECASE)
_SSH_SHORT_FORM = re.compile(r"(?P<user>[A-Za-z0-9._][\w.-]*)@(?P<host>[A-Za-z0-9][\w.-]*):(?P<path>(?!//).+)")

# RFC 4291, section 2.4: the only IPv6 range in which addresses of the public internet lie.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: IPv4 in the last 32 bits
# Special-purpose by the IANA registries, but called global by Python 3.11's `is_global`.
_SPECIAL_PURPOSE = tuple(
    ipaddress.ip_network(network)
    for network in ("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4", "2001::/23", "3fff::/20", "5f00::/16")
)


def is_local(link: str) -> bool:
    """Return whether the link is a path of this machine: a ``file:`` URL, or anything without a scheme."""
    return link.strip().lower().startswith("file:") or not (
        _SCHEME.match(link.strip()) or _SSH_SHORT_FORM.fullmatch(link.strip())
    )


def with_scheme(link: str) -> str:
    """Return the link with ssh's short form, ``user@host:path``, spelled out as a URL."""
    short = _SSH_SHORT_FORM.fullmatch(link.strip())
    return f"ssh://{short['user']}@{short['host']}/{short['path'].lstrip('/')}" if short else link.strip()


def local_path(link: str, settings: Settings) -> Path:
    """Return the absolute path, symlinks followed, of a local link; there is something at it.

    Raises:
        ForbiddenLinkError: Settings allow no local paths, or the ``file:`` URL names another host.
        UnreachableError: There is nothing at this path, or it may not be read.
    """
    if not settings.crawl_allow_local:
        raise ForbiddenLinkError(
            link,
            "is a path of this machine (a web link starts with https://); LLMTWIN_CRAWL_ALLOW_LOCAL=true allows it",
        )
    spelled = unresolved_path(link)
    if spelled is None:
        raise ForbiddenLinkError(link, "names no file of this machine; mount what is on another host and give its path")
    try:
        return spelled.expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UnreachableError(link, f"cannot be opened: {why} (a web link starts with https://)") from error


def unresolved_path(link: str) -> Path | None:
    """Return the path that a local link spells, whether or not it exists; None when it names another host, or none."""
    link = link.strip()
    if not link.lower().startswith("file:"):
        return Path(link)
    rest = link[len("file:") :].split("#")[0].split("?")[0]
    if rest.startswith("//"):
        host, _, rest = rest[2:].partition("/")
        if host.lower() not in ("", "localhost"):
            return None
        rest = f"/{rest}"
    if not rest:
        return None  # as a path it would be the working folder
    return Path(unquote_to_bytes(rest).decode("utf-8", "surrogateescape"))


def existing_path(link: str) -> Path | None:
    """Return the path that a local link spells when there is something at it; asks for no permission, reads nothing."""
    try:
        path = unresolved_path(link)
        found = path.expanduser() if path is not None else None
        return found if found is not None and found.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def web_url(link: str, schemes: tuple[str, ...] = ("https", "http")) -> SplitResult:
    """Return the parts of a link that may be followed, as far as can be told without resolving its host.

    Raises:
        ForbiddenLinkError: Its scheme is not among `schemes`, or it carries a password.
        UnreadableError: It is no valid URL.
    """
    try:
        link.encode()  # half a character, as JSON can spell it, is in no URL
        parts = urlsplit(link.strip())
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise UnreadableError(link, f"is no valid link: {error}") from error
    if parts.scheme not in schemes:
        allowed = " and ".join(schemes)
        raise ForbiddenLinkError(link, f"has the scheme {parts.scheme!r}; only {allowed} are followed")
    if not valid:
        raise UnreadableError(link, "is no valid link: it names no host")
    refuse_credentials(link)
    return parts


def refuse_credentials(link: str) -> None:
    """Check that a link gives nothing away; one that is no valid URL is not judged.

    Raises:
        ForbiddenLinkError: It carries a password, or a user name where that is no part of the address.
    """
    try:
        parts = urlsplit(with_scheme(link))
    except ValueError:
        return
    if parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        raise ForbiddenLinkError(
            shown, "carries a user name or password, which would be stored with every document; leave it out"
        )


def web_parts(link: str) -> SplitResult | None:
    """Return the parts of a link of the web; None for any other, and for one that is no valid URL. Asks no server."""
    try:
        parts = urlsplit(link.strip())
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


def resolve(link: str, host: str, port: int, settings: Settings) -> list[str]:
    """Return the addresses of the host, in the system's order, when all of them may be reached.

    Raises:
        ForbiddenLinkError: One of them is not on the public internet, and settings do not allow that.
        UnreachableError: The host has no address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(link, f"the host {host!r} is not known to the name service") from error
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    if not settings.crawl_allow_private:
        for address in addresses:
            if not is_public(address):
                raise ForbiddenLinkError(
                    link,
                    f"{host!r} is at {address}, which is not on the public internet; "
                    "LLMTWIN_CRAWL_ALLOW_PRIVATE=true allows it",
                )
    return addresses


def is_public(address: str) -> bool:
    """Return whether the address is one of the public internet, and so is any IPv4 address inside it."""
    ip: IPv4Address | IPv6Address = ipaddress.ip_address(address)
    if isinstance(ip, IPv6Address):
        if embedded := ip.ipv4_mapped or ip.sixtofour or _ipv4_behind_nat64(ip):
            return is_public(str(embedded))
        if ip not in _GLOBAL_UNICAST:
            return False
    return ip.is_global and not any(ip in network for network in _SPECIAL_PURPOSE if network.version == ip.version)


def _ipv4_behind_nat64(ip: IPv6Address) -> IPv4Address | None:
    return IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None


class GuardedTransport(httpx.HTTPTransport):
    """Connects to judged addresses only.

    The request goes to the address; name, certificate and ``Host`` header stay those of the host. Connections are not
    kept, because the pool would know them by address and hand one to another host behind it. Proxies in the environment
    are not used: they would resolve the name once more, elsewhere.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(limits=httpx.Limits(max_keepalive_connections=0))
        self._settings = settings

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        link = str(request.url)
        web_url(link)
        host = request.url.raw_host.decode("ascii").strip("[]")
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        *others, last = resolve(link, host, port, self._settings)
        for address in others:
            try:
                return super().handle_request(_pinned(request, host, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # a host may have an IPv6 address while this machine has no route to it
        return super().handle_request(_pinned(request, host, last))


def _pinned(request: httpx.Request, host: str, address: str) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )
