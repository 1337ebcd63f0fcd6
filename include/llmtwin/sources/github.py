"""GitHub: all public repositories of a user or an organization, each a crawl of its own by the git source."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import httpx

from llmtwin.documents import User
from llmtwin.errors import HttpStatusError, LoginWallError, RateLimitError, SourceError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard
from llmtwin.sources.git import OWN_PAGES_OF_GITHUB
from llmtwin.sources.page import Session
from llmtwin.sources.source import Crawl, Known, Source, nothing_known

_HOST = "github.com"
# The API's own upper limit, and the version this module was written for.
_PER_PAGE = 100
_API_VERSION = "2022-11-28"


class GithubSource(Source):
    """The page of a user or an organization (``github.com/name``), which stands for all their repositories."""

    name = "github"

    def accepts(self, link: str) -> bool:
        return _user(link) is not None

    def expand(self, link: str, settings: Settings) -> list[str]:
        """Return the links of the user's public repositories; forks and archived ones only where settings want them.

        Raises:
            RateLimitError: GitHub answers no more questions for now.
            LoginWallError: The token is refused.
            SourceError: GitHub knows no such user, or gives no answer.
        """
        url: str | None = f"{_api(settings)}/users/{quote(_user(link) or '')}/repos?per_page={_PER_PAGE}&type=owner"
        found = []
        with Session(settings, _headers(settings), is_crawl=False) as session:
            while url is not None:
                try:
                    page = session.fetch(url)
                except (HttpStatusError, LoginWallError) as error:
                    _explain(link, error)
                except SourceError as error:
                    raise type(error)(link, f"GitHub's API cannot be asked: {error.reason}") from error
                found += _repositories(link, page.content)
                url = page.next_url
        return [_crawl_link(repository) for repository in found if _is_wanted(repository, settings)]

    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        raise UnreadableError(link, "stands for many repositories; expand it, and crawl each by its own link")


def _user(link: str) -> str | None:
    """Return the name of the user whose page this is."""
    parts = guard.web_parts(link)
    segments = [segment for segment in parts.path.split("/") if segment] if parts else []
    if parts is None or parts.hostname not in (_HOST, f"www.{_HOST}") or len(segments) != 1:
        return None
    return None if segments[0].lower() in OWN_PAGES_OF_GITHUB else segments[0]


def _api(settings: Settings) -> str:
    return settings.github_api_url.rstrip("/")


def _headers(settings: Settings) -> dict[str, str]:
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": _API_VERSION}
    return {**headers, "Authorization": f"Bearer {settings.github_token}"} if settings.github_token else headers


def _repositories(link: str, content: bytes) -> list[dict[str, Any]]:
    try:
        repositories = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(link, f"GitHub's API answers with no list of repositories: {error}") from error
    if not isinstance(repositories, list) or not all(
        isinstance(repository, dict) and {"html_url", "clone_url"} <= repository.keys() for repository in repositories
    ):
        raise UnreadableError(link, "GitHub's API answers with no list of repositories")
    return repositories


def _is_wanted(repository: dict[str, Any], settings: Settings) -> bool:
    return (settings.github_forks or not repository.get("fork")) and (
        settings.github_archived or not repository.get("archived")
    )


def _crawl_link(repository: dict[str, Any]) -> str:
    """Return the link that the git source knows for one; elsewhere than on GitHub it goes by the suffix."""
    page = str(repository["html_url"])
    return page if urlsplit(page).hostname == _HOST else str(repository["clone_url"])


def _explain(link: str, error: HttpStatusError | LoginWallError) -> NoReturn:
    """Raise what an error status of the API means."""
    if not isinstance(error.__cause__, httpx.HTTPStatusError):
        raise error
    response = error.__cause__.response
    remaining, reset = response.headers.get("X-RateLimit-Remaining"), response.headers.get("X-RateLimit-Reset", "")
    if response.status_code in (403, 429) and (remaining == "0" or "Retry-After" in response.headers):
        until = f" until {datetime.fromtimestamp(int(reset), UTC):%Y-%m-%d %H:%M} UTC" if reset.isdecimal() else ""
        raise RateLimitError(
            link, f"GitHub answers no more questions{until}; LLMTWIN_GITHUB_TOKEN allows 5,000 an hour"
        ) from error
    if response.status_code == 401:
        raise LoginWallError(link, "GitHub refuses LLMTWIN_GITHUB_TOKEN: it is mistyped, or has expired") from error
    if response.status_code == 404:
        raise UnreadableError(link, "GitHub knows no user or organization of this name") from error
    raise SourceError(link, f"GitHub's API answers HTTP {response.status_code}") from error
