"""Pages off the web: bounded in bytes and seconds, retried where that helps, guarded on every hop.

A `Session` reads many. It keeps to robots.txt, pauses between two requests to one host, and keeps what it read on disk,
to ask servers only for what has changed. From the outside in, a request passes: redirects, cache, pause, guard.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import takewhile
from types import TracebackType
from typing import Self, TypeVar

import httpx
import stamina
import structlog
from hishel import CacheOptions, SqliteStorage
from hishel.httpx import CacheTransport

from llmtwin.errors import (
    ForbiddenLinkError,
    HttpStatusError,
    LoginWallError,
    RobotsError,
    SourceError,
    UnreachableError,
    UnreadableError,
)
from llmtwin.settings import Settings
from llmtwin.sources import guard, http_cache, robots

USER_AGENT = f"{robots.PRODUCT}/0.1 (crawls its user's own writing)"
ACCEPT = "text/html, text/markdown, text/plain;q=0.9, */*;q=0.1"
MAX_REDIRECTS = 10
ATTEMPTS = 3
LONGEST_RETRY_AFTER_SECONDS = 60.0
LONGEST_CRAWL_DELAY_SECONDS = 30.0

TRANSIENT_STATUSES = {429, 502, 503, 504}
_LOGIN_STATUSES = {401, 403, 407}
_MOVED_FOR_GOOD = {301, 308}
_TRANSIENT_ERRORS = (httpx.TimeoutException, httpx.ReadError, httpx.RemoteProtocolError)
# For how long a page is taken for unchanged on the word of its site's list alone.
_LONGEST_TRUST = timedelta(days=7)
_LONGEST_USE_OF_ROBOTS = timedelta(days=1)  # RFC 9309, section 2.4

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


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
    next_url: str | None = None
    """The next page of a list, where the server names one (RFC 8288)."""
    moved_to: str | None = None
    """Where it has moved for good, by the permanent redirects that came before any other."""


class Session:
    """Reads pages one after another, politely. A context manager; not for several threads.

    Args:
        settings: Limits, and what may be reached.
        headers: Sent with every request, a token say. What such a session reads is kept nowhere.
        is_crawl: Whether robots.txt counts; it does not for an API.
        attempts: How often something is tried that may succeed a little later.
    """

    def __init__(
        self,
        settings: Settings,
        headers: Mapping[str, str] | None = None,
        is_crawl: bool = True,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._settings = settings
        self._attempts = attempts
        self._is_crawl = is_crawl
        self._robots = robots.Robots(self._read_robots, settings)
        self._paced = _PacedTransport(guard.GuardedTransport(settings), self._pause)
        self._storage = None if headers else http_cache.open_storage(settings)
        transport = self._paced if self._storage is None else _cached(self._paced, self._storage)
        self._client = _client(transport, settings, headers or {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and cache."""
        self._client.close()
        self._paced.close()
        if self._storage is not None:
            self._storage.close()

    def fetch(self, link: str, changed_at: datetime | None = None) -> Page:
        """Return the page at a web link.

        Args:
            link: Where it is.
            changed_at: When it last changed, as its site's list of pages says. What was read since then is returned
                without a request, as far as the page itself allows, and for a week at most.

        Raises:
            ForbiddenLinkError: The link, or a redirect, leads where settings do not allow it.
            RobotsError: The site asks programs to keep away from the page.
            UnreachableError: No answer in time.
            HttpStatusError: An error status, of which the transient ones have been tried three times.
            LoginWallError: HTTP 401, 403 or 407.
            UnreadableError: Larger than settings allow, or not a valid link.
        """
        guard.web_url(link)
        self._client.cookies.clear()  # a site that set some must not see them with another page
        since = None if changed_at is None else max(changed_at, datetime.now(UTC) - _LONGEST_TRUST)
        return self._persistently(lambda: self._fetch(link, since))

    def _fetch(self, link: str, since: datetime | None, permit: bool = True) -> Page:
        """Return the page; an answer that was given after `since` will do, if there is one and it allows that."""
        if since is not None:
            with self._open(link, permit, fresh=False) as response:
                if _was_given_after(since, response):
                    return _read(link, response, self._settings)
        with self._open(link, permit, fresh=True) as response:
            return _read(link, response, self._settings)

    def _read_robots(self, url: str) -> bytes:
        since = datetime.now(UTC) - _LONGEST_USE_OF_ROBOTS
        return self._persistently(lambda: self._fetch(url, since, permit=False)).content

    def _persistently(self, read: Callable[[], _T]) -> _T:
        """Try again what may succeed a little later; without the cache, what fails because of it."""
        for attempt in stamina.retry_context(
            on=_backoff, attempts=self._attempts, timeout=None, wait_initial=0.5, wait_max=10.0, wait_jitter=0.5
        ):
            with attempt:
                try:
                    return read()
                except http_cache.FAILURES as error:
                    self._do_without_cache(error)
                    return read()
        raise AssertionError("stamina returns or raises")

    def _do_without_cache(self, error: Exception) -> None:
        if self._storage is not None:
            _log.warning("the cache of pages failed; this crawl goes on without it", reason=str(error))
            self._storage.close()
            self._storage = None
            self._client = _client(self._paced, self._settings, {})

    @contextmanager
    def _open(self, link: str, permit: bool, fresh: bool) -> Iterator[httpx.Response]:
        def allow(hop: str) -> None:
            if permit and self._is_crawl:
                self._robots.require_permission(link, hop)

        with _errors_naming(link, link, self._settings), closing(_follow(self._client, link, allow, fresh)) as response:
            response.raise_for_status()
            yield response

    def _pause(self, url: str) -> float:
        """Return the seconds between two requests to the host of the URL."""
        return max(self._settings.crawl_pause_seconds, min(self._robots.crawl_delay(url), LONGEST_CRAWL_DELAY_SECONDS))


def fetch(link: str, settings: Settings, attempts: int = ATTEMPTS) -> Page:
    """Return the page at a web link, as `Session.fetch` does."""
    with Session(settings, attempts=attempts) as session:
        return session.fetch(link)


@contextmanager
def get(link: str, url: str, settings: Settings) -> Iterator[httpx.Response]:
    """Open the answer to a GET of `url`, redirects followed, its body not yet read; errors name `link`.

    For what is no page: robots.txt is not asked, and nothing is kept.
    """
    with (
        _errors_naming(link, url, settings),
        _client(guard.GuardedTransport(settings), settings, {}) as client,
        closing(_follow(client, url)) as response,
    ):
        response.raise_for_status()
        yield response


class _PacedTransport(httpx.BaseTransport):
    """Waits before a request until its host has had its pause; robots.txt comes out of turn."""

    def __init__(self, inner: httpx.BaseTransport, pause: Callable[[str], float]) -> None:
        self._inner = inner
        self._pause = pause
        self._last: dict[str, float] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        if request.url.path != robots.PATH:
            if host in self._last:
                time.sleep(max(0.0, self._last[host] + self._pause(str(request.url)) - time.monotonic()))
            self._last[host] = time.monotonic()
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def _client(transport: httpx.BaseTransport, settings: Settings, headers: Mapping[str, str]) -> httpx.Client:
    return httpx.Client(
        transport=transport,
        trust_env=False,
        timeout=settings.crawl_timeout_seconds,
        headers={"User-Agent": USER_AGENT, "Accept": ACCEPT, "Accept-Encoding": "gzip", **headers},
    )


def _cached(inner: httpx.BaseTransport, storage: SqliteStorage) -> CacheTransport:
    return CacheTransport(inner, storage, rfc=CacheOptions(shared=False, allow_stale=True))


@contextmanager
def _errors_naming(link: str, url: str, settings: Settings) -> Iterator[None]:
    try:
        yield
    except (ForbiddenLinkError, RobotsError, UnreachableError, UnreadableError) as error:
        if error.link in (link, str(httpx.URL(url))):
            raise
        raise type(error)(link, f"leads to {error.link}: {error.reason}") from error
    except httpx.HTTPStatusError as error:
        raise _status_error(link, error.response) from error
    except httpx.TooManyRedirects as error:
        # Not as unreachable: that would be tried again, and lead round in the same circle.
        raise SourceError(link, f"redirects more than {MAX_REDIRECTS} times") from error
    except httpx.UnsupportedProtocol as error:
        raise ForbiddenLinkError(link, f"redirects to something that is no web page: {error}") from error
    except httpx.InvalidURL as error:
        raise UnreadableError(link, f"is, or redirects to, no valid link: {error}") from error
    except httpx.TimeoutException as error:
        raise UnreachableError(link, f"no complete answer within {settings.crawl_timeout_seconds:g} s") from error
    except httpx.RequestError as error:
        raise UnreachableError(link, f"the connection failed: {error or type(error).__name__}") from error


def _follow(
    client: httpx.Client, url: str, allow: Callable[[str], None] | None = None, fresh: bool = True
) -> httpx.Response:
    """Return the first answer that is no redirect; `allow` raises for a hop that may not be asked for.

    httpx itself would read the whole body of each redirect first, however large.
    """
    # The cache asks the server about anything it keeps when a request says so (RFC 9111, section 5.2.1.4).
    request = client.build_request("GET", url, headers={"Cache-Control": "no-cache"} if fresh else {})
    redirects: list[httpx.Response] = []
    while len(redirects) <= MAX_REDIRECTS:
        if allow is not None:
            guard.web_url(str(request.url))
            allow(str(request.url))
        response = client.send(request, stream=True)
        if response.next_request is None:
            response.history = redirects
            return response
        response.close()
        redirects.append(response)
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
    next_url = response.links.get("next", {}).get("url")
    moved_to = _moved_to(response)
    return Page(str(response.url), bytes(content), content_type, response.charset_encoding, next_url, moved_to)


def _moved_to(response: httpx.Response) -> str | None:
    moves = takewhile(lambda redirect: redirect.status_code in _MOVED_FOR_GOOD, response.history)
    return next((str(move.next_request.url) for move in reversed(list(moves)) if move.next_request), None)


def _was_given_after(moment: datetime, response: httpx.Response) -> bool:
    """Return whether the server itself has given, or confirmed, an answer since this moment."""
    status = response.extensions.get("caching", {})
    if not status.get("from_cache") or status.get("revalidated"):
        return True  # it has just done so
    given_at = _http_date(response.headers.get("Date", ""))
    return given_at is not None and given_at > moment


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
    if cause.response.status_code not in TRANSIENT_STATUSES:
        return False
    seconds = _retry_after(cause.response.headers.get("Retry-After", ""))
    return seconds is None or (seconds <= LONGEST_RETRY_AFTER_SECONDS and max(seconds, 0.0))


def _retry_after(value: str) -> float | None:
    """Return the seconds that a Retry-After header (RFC 9110, section 10.2.3) names, or None."""
    if value.strip().isdecimal():
        return float(value)
    moment = _http_date(value)
    return None if moment is None else (moment - datetime.now(UTC)).total_seconds()


def _http_date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
