"""A git repository, remote or on this machine: one raw document per source file, at the newest commit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import SplitResult, quote, urlsplit

from pydantic import ValidationError

from llmtwin.documents import RawRepositoryFile, Repository, User, canonical_link, content_hash, document_id
from llmtwin.documents.contract import Kind
from llmtwin.errors import SourceError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard
from llmtwin.sources.git_remote import fetch, too_large
from llmtwin.sources.git_repository import SUBMODULE, SYMLINK, Entry, GitRepository, is_repository, open_local
from llmtwin.sources.languages import language_of, skip_by_content, skip_by_path
from llmtwin.sources.source import Crawl, Known, Source, contract_problems, nothing_known, readable

# fmt: off
OWN_PAGES_OF_GITHUB = {
    "about", "apps", "collections", "enterprise", "events", "explore", "features", "issues", "login", "marketplace",
    "notifications", "orgs", "pricing", "pulls", "search", "security", "settings", "sponsors", "stars", "topics",
    "trending", "users",
}
# fmt: on
# How a forge's page for one file follows the address of the repository.
_FILE_PAGES = {
    "github.com": "blob/{branch}",
    "gitlab.com": "-/blob/{branch}",
    "bitbucket.org": "src/{branch}",
    "codeberg.org": "src/branch/{branch}",
}
_SKIP_BY_MODE = {SYMLINK: "symlink", SUBMODULE: "submodule"}
_TOO_LONG = "over "
# More are looked at again in every crawl, so that the repository's own document stays small (some 6 MB).
_MOST_LEFT_OUT = 100_000


@dataclass(frozen=True)
class _Origin:
    """Where a repository comes from, and how it and its files are named."""

    source_link: str
    link: str
    """The repository's page, or its folder: the same, however it was cloned."""
    name: str
    platform: str
    files: str
    """What the link of a file begins with."""


@dataclass
class _Reading:
    """The crawl of a repository: what is to be read, and what became of the rest."""

    crawl: Crawl
    origin: _Origin
    parent: Repository
    limit: int
    """Bytes of the largest file that is read."""
    wanted: list[Entry] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Why files were left out after a look at them, by version: the next crawl need not look again."""

    def link(self, entry: Entry) -> str:
        """Return the link of a file."""
        return f"{self.origin.files}/{quote(entry.path)}"

    def leave_out(self, entry: Entry, reason: str) -> None:
        """Count a file that was looked at as left out."""
        self.crawl.skipped[reason] += 1
        if len(self.left_out) < _MOST_LEFT_OUT:
            self.left_out[_version(entry)] = reason


class GitSource(Source):
    """Source files of a repository, by https, ssh or path."""

    name = "git"

    def accepts(self, link: str) -> bool:
        if guard.is_local(link):
            path = guard.existing_path(link)
            return path is not None and is_repository(path)
        try:
            parts = urlsplit(guard.with_scheme(link))
        except ValueError:
            return False
        if parts.scheme in ("ssh", "git"):
            return True
        return parts.scheme in ("http", "https") and (parts.path.rstrip("/").endswith(".git") or _is_on_forge(parts))

    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        with ExitStack() as clone_folder:
            if guard.is_local(link):
                root = guard.local_path(link, settings)
                repository = open_local(link, root, settings)
                origin = _local_origin(root)
                marks = known(origin.source_link)
            else:
                url = _clone_url(link, settings)
                folder = clone_folder.enter_context(TemporaryDirectory(prefix="llmtwin-git-"))
                marks = known(_source_link(url))
                earlier = _earlier(url, marks, settings)
                repository = fetch(link, url, Path(folder), settings, earlier)
                origin = _remote_origin(url, repository.branch())
            parent = _parent(origin, author, repository.head())
            reading = _Reading(Crawl(origin.source_link), origin, parent, settings.crawl_max_file_bytes)
            _sort(reading, repository, marks)
            if sum(entry.size or 0 for entry in reading.wanted) > settings.crawl_max_repository_bytes:
                raise too_large(link, settings)
            reading.crawl.documents = _stream(reading, repository, clone_folder.pop_all())
        return reading.crawl


def _sort(reading: _Reading, repository: GitRepository, marks: Mapping[str, str]) -> None:
    """Decide about every file that need not be read; the rest is wanted."""
    crawl, too_long = reading.crawl, _too_long(reading.limit)
    wanted = []
    for entry in repository.entries(reading.parent.commit):
        link = reading.link(entry)
        if reason := _SKIP_BY_MODE.get(entry.mode) or skip_by_path(readable(entry.path)):
            crawl.skipped[reason] += 1
        elif marks.get(link) == entry.blob_id:
            crawl.unchanged.add(link)
        elif (reason := marks.get(_version(entry))) and (reason == too_long or not reason.startswith(_TOO_LONG)):
            reading.leave_out(entry, reason)
        else:
            wanted.append(entry)
    for entry in repository.obtained(wanted):
        if repository.filtered if entry.size is None else entry.size > reading.limit:
            reading.leave_out(entry, too_long)
        else:
            reading.wanted.append(entry)


def _stream(reading: _Reading, repository: GitRepository, clone_folder: ExitStack) -> Iterator[RawRepositoryFile]:
    """Yield the files, one in memory at a time, and at the end complete the crawl and drop the clone."""
    crawl = reading.crawl
    files = len(crawl.unchanged)
    with clone_folder, repository.blobs() as blobs:
        for entry in reading.wanted:
            link = reading.link(entry)
            try:
                content = blobs.read(link, entry)
                if reason := skip_by_content(readable(entry.path), content):
                    reading.leave_out(entry, reason)
                    continue
                document = _document(reading.origin, reading.parent, link, entry, content.decode())
            except SourceError as error:
                crawl.failures.append(error)
                continue
            files += 1
            yield document
    found = {"files": files, "skipped": dict(crawl.skipped), "left_out": reading.left_out}
    crawl.repository = reading.parent.model_copy(update=found)
    crawl.complete = True


def _earlier(url: SplitResult, marks: Mapping[str, str], settings: Settings) -> str | None:
    """Return the commit that was crawled before, unless files were too large for it that are not any more."""
    outdated = any(
        reason.startswith(_TOO_LONG) and reason != _too_long(settings.crawl_max_file_bytes) for reason in marks.values()
    )
    return None if outdated else marks.get(_page(url))


def _version(entry: Entry) -> str:
    """Return what decides whether a file is left out once it was looked at: its content and its language."""
    return f"{entry.blob_id}:{language_of(readable(entry.path))}"


def _too_long(limit: int) -> str:
    return f"{_TOO_LONG}{limit:,} bytes"


def _parent(origin: _Origin, author: User, commit: str) -> Repository:
    """Return the parent document as far as it is known before its files are read."""
    return Repository(
        id=document_id(Kind.REPOSITORY, origin.link),
        author_id=author.id,
        author_full_name=author.full_name,
        link=origin.link,
        source_link=origin.source_link,
        name=origin.name,
        commit=commit,
        files=0,
        crawled_at=datetime.now(UTC),
    )


def _document(origin: _Origin, parent: Repository, link: str, entry: Entry, content: str) -> RawRepositoryFile:
    path = readable(entry.path)
    try:
        return RawRepositoryFile(
            id=document_id(Kind.REPOSITORY, link),
            author_id=parent.author_id,
            author_full_name=parent.author_full_name,
            platform=origin.platform,
            link=link,
            source_link=origin.source_link,
            title=path,
            crawled_at=parent.crawled_at,
            content=content,
            content_hash=content_hash(content),
            repository_id=parent.id,
            path=path,
            language=language_of(path),
            blob_id=entry.blob_id,
        )
    except ValidationError as error:
        raise UnreadableError(link, contract_problems(error)) from error


def _local_origin(root: Path) -> _Origin:
    link = root.as_uri()
    return _Origin(
        source_link=link, link=link, name=readable(os.fsencode(root.name)) or "/", platform="file", files=link
    )


def _remote_origin(url: SplitResult, branch: str) -> _Origin:
    host = url.hostname or ""
    link = _page(url)
    file_page = _FILE_PAGES.get(host, "blob/{branch}").format(branch=quote(branch))
    return _Origin(
        source_link=_source_link(url), link=link, name=_name(url), platform=host, files=f"{link}/{file_page}"
    )


def _source_link(url: SplitResult) -> str:
    link = canonical_link(url.geturl())
    return link.removesuffix(".git") if url.hostname in _FILE_PAGES else link


def _page(url: SplitResult) -> str:
    """Return the repository's page, the same however it is cloned."""
    port = f":{url.port}" if url.port and url.scheme != "ssh" else ""
    return canonical_link(f"https://{url.hostname}{port}/{_name(url)}")


def _name(url: SplitResult) -> str:
    return url.path.strip("/").removesuffix(".git").rstrip("/")


def _clone_url(link: str, settings: Settings) -> SplitResult:
    """Return what to clone; http is raised to https, unless private hosts are allowed.

    Raises:
        ForbiddenLinkError: Neither https nor ssh.
        UnreadableError: No valid link, or no path in it.
    """
    given = guard.with_scheme(link)
    schemes = ("https", "ssh", "http") if settings.crawl_allow_private else ("https", "ssh")
    if not settings.crawl_allow_private and given.lower().startswith("http://"):
        given = f"https://{given[len('http://') :]}"
    parts = guard.web_url(given, schemes)
    path = parts.path.rstrip("/")
    if not path:
        raise UnreadableError(link, "names a host, but no repository on it")
    host = parts.netloc.lower().removeprefix("www.") if _is_on_forge(parts) else parts.netloc
    return parts._replace(netloc=host, path=path, query="", fragment="")


def _is_on_forge(parts: SplitResult) -> bool:
    """Return whether this is the front page of a repository on a well-known host: ``/owner/name``."""
    segments = [segment for segment in parts.path.split("/") if segment]
    host = (parts.hostname or "").removeprefix("www.")
    if host == "gitlab.com":
        return len(segments) >= 2 and "-" not in segments
    return (
        host in _FILE_PAGES
        and len(segments) == 2
        and not (host == "github.com" and segments[0].lower() in OWN_PAGES_OF_GITHUB)
    )
