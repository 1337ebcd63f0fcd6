"""One page off the web: bounded in bytes and seconds, retried where that helps, guarded on every hop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import stamina

from llmtwin.errors import ForbiddenLinkError, HttpStatusError, LoginWallError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard

USER_AGENT = "llmtwin/0.1 (crawls its user's own writing)"
MAX_REDIRECTS = 10
ATTEMPTS = 3
LONGEST_RETRY_AFTER_SECONDS = 60.0

_TRANSIENT_STATUSES = {429, 502, 503, 504}
_LOGIN_STATUSES = {401, 403, 407}
_TRANSIENT_ERRORS = (httpx.TimeoutException, httpx.ReadError, httpx.RemoteProtocolError)


@dataclass(frozen=True)
class Page:
    """What a server answered."""

    url: str
    """Where the redirects ended."""
    content: bytes
    content_type: str
    """Lower case, without parameters; empty when the server names none."""
    charset: str | None
    """The encoding the server names."""


def fetch(link: str, settings: Settings) -> Page:
    """Return the page at a web link.

    Raises:
        ForbiddenLinkError: The link, or a redirect, leads where settings do not allow it.
        UnreachableError: No answer in time.
        HttpStatusError: An error status, of which the transient ones have been tried three times.
        LoginWallError: HTTP 401, 403 or 407.
        UnreadableError: Larger than settings allow, or not a valid link.
    """
    guard.web_url(link)
    for attempt in stamina.retry_context(
        on=_backoff, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=10.0, wait_jitter=0.5
    ):
        with attempt, get(link, link, settings) as response:
            return _read(link, response, settings)
    raise AssertionError("stamina returns or raises")


@contextmanager
def get(link: str, url: str, settings: Settings) -> Iterator[httpx.Response]:
    """Open the answer to a GET of `url`, redirects followed, its body not yet read; errors name `link`."""
    headers = {"User-Agent": USER_AGENT, "Accept": "text/html, text/markdown, text/plain;q=0.9, */*;q=0.1"}
    try:
        with (
            httpx.Client(
                transport=guard.GuardedTransport(settings),
                trust_env=False,
                timeout=settings.crawl_timeout_seconds,
                headers={**headers, "Accept-Encoding": "gzip"},
            ) as client,
            closing(_follow(client, url)) as response,
        ):
            response.raise_for_status()
            yield response
    except (ForbiddenLinkError, UnreachableError, UnreadableError) as error:
        if error.link in (link, str(httpx.URL(url))):
            raise
        raise type(error)(link, f"leads to {error.link}: {error.reason}") from error
    except httpx.HTTPStatusError as error:
        raise _status_error(link, error.response) from error
    except httpx.TooManyRedirects as error:
        raise UnreachableError(link, f"redirects more than {MAX_REDIRECTS} times") from error
    except httpx.UnsupportedProtocol as error:
        raise ForbiddenLinkError(link, f"redirects to something that is no web page: {error}") from error
    except httpx.InvalidURL as error:
        raise UnreadableError(link, f"is, or redirects to, no valid link: {error}") from error
    except httpx.TimeoutException as error:
        raise UnreachableError(link, f"no complete answer within {settings.crawl_timeout_seconds:g} s") from error
    except httpx.RequestError as error:
        raise UnreachableError(link, f"the connection failed: {error or type(error).__name__}") from error


def _follow(client: httpx.Client, url: str) -> httpx.Response:
    """Return the first answer that is no redirect.

    httpx itself would read the whole body of each redirect first, however large.
    """
    request = client.build_request("GET", url)
    for _ in range(MAX_REDIRECTS + 1):
        response = client.send(request, stream=True)
        if response.next_request is None:
            return response
        response.close()
        request = response.next_request
    raise httpx.TooManyRedirects("too many redirects", request=request)


def _read(link: str, response: httpx.Response, settings: Settings) -> Page:
    """Read the body, and stop as soon as it is known to be too large or too late."""
    limit = settings.crawl_max_page_bytes
    too_large = UnreadableError(link, f"is larger than {limit:,} bytes (LLMTWIN_CRAWL_MAX_PAGE_BYTES)")
    if int(response.headers.get("Content-Length", "0")) > limit:
        raise too_large
    deadline = time.monotonic() + settings.crawl_timeout_seconds
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > limit:
            raise too_large
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the page comes too slowly", request=response.request)
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return Page(str(response.url), bytes(content), content_type, response.charset_encoding)


def _status_error(link: str, response: httpx.Response) -> HttpStatusError | LoginWallError:
    if response.status_code in _LOGIN_STATUSES:
        return LoginWallError(
            link, f"the server answered HTTP {response.status_code}: it wants a login, or lets no programs in"
        )
    return HttpStatusError(link, response.status_code)


def _backoff(error: Exception) -> bool | float:
    """Say whether the same request may succeed a little later, and when the server names it, how much later."""
    cause = error.__cause__
    if not isinstance(cause, httpx.HTTPStatusError):
        return isinstance(cause, _TRANSIENT_ERRORS)
    if cause.response.status_code not in _TRANSIENT_STATUSES:
        return False
    seconds = _retry_after(cause.response.headers.get("Retry-After", ""))
    return seconds is None or (seconds <= LONGEST_RETRY_AFTER_SECONDS and max(seconds, 0.0))


def _retry_after(value: str) -> float | None:
    """Return the seconds that a Retry-After header (RFC 9110, section 10.2.3) names, or None."""
    if value.strip().isdecimal():
        return float(value)
    try:
        return (parsedate_to_datetime(value).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except ValueError:
        return None
