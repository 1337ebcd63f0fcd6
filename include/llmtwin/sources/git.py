"""A git repository, remote or on this machine: one raw document per source file, at the newest commit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
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
from llmtwin.sources.languages import language_of, skip_by_content, skip_by_path
from llmtwin.sources.repository import Entry, GitRepository, clone, is_repository, open_local
from llmtwin.sources.source import Crawl, Known, Source, contract_problems, nothing_known, readable

# fmt: off
_OWN_PAGES_OF_GITHUB = {
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
_SKIP_BY_MODE = {"120000": "symlink", "160000": "submodule"}


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
            else:
                url = _clone_url(link, settings)
                folder = clone_folder.enter_context(TemporaryDirectory(prefix="llmtwin-git-"))
                repository = clone(link, url, Path(folder) / "repository.git", settings)
                origin = _remote_origin(url, repository.branch())
            parent = _parent(origin, author, repository.head())
            entries = repository.entries(parent.commit)
            crawl = Crawl(origin.source_link)
            limit = settings.crawl_max_file_bytes
            crawl.documents = _stream(crawl, origin, parent, repository, entries, limit, clone_folder.pop_all())
        return crawl


def _stream(
    crawl: Crawl,
    origin: _Origin,
    parent: Repository,
    repository: GitRepository,
    entries: list[Entry],
    max_bytes: int,
    clone_folder: ExitStack,
) -> Iterator[RawRepositoryFile]:
    """Yield the files, one in memory at a time, and at the end complete the crawl and drop the clone."""
    files = 0
    with clone_folder, repository.blobs() as blobs:
        for entry in entries:
            if reason := _skip_unread(entry, max_bytes, repository.filtered):
                crawl.skipped[reason] += 1
                continue
            link = f"{origin.files}/{quote(entry.path)}"
            try:
                content = blobs.read(link, entry)
                if reason := skip_by_content(readable(entry.path), content):
                    crawl.skipped[reason] += 1
                    continue
                document = _document(origin, parent, link, entry, content.decode())
            except SourceError as error:
                crawl.failures.append(error)
                continue
            files += 1
            yield document
    crawl.repository = parent.model_copy(update={"files": files, "skipped": dict(crawl.skipped)})
    crawl.complete = not crawl.failures


def _parent(origin: _Origin, author: User, commit: str) -> Repository:
    """Return the parent document as far as it is known before its files are read."""
    return Repository(
        id=document_id(Kind.REPOSITORY, origin.link),
        author_id=author.id,
        author_full_name=author.full_name,
        link=origin.link,
        name=origin.name,
        commit=commit,
        files=0,
        crawled_at=datetime.now(UTC),
    )


def _skip_unread(entry: Entry, max_bytes: int, filtered: bool) -> str | None:
    if reason := _SKIP_BY_MODE.get(entry.mode) or skip_by_path(readable(entry.path)):
        return reason
    oversized = filtered if entry.size is None else entry.size > max_bytes
    return "oversized" if oversized else None


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
    name = url.path.strip("/").removesuffix(".git").rstrip("/")
    on_forge = host in _FILE_PAGES
    source_link = canonical_link(url.geturl())
    port = f":{url.port}" if url.port and url.scheme != "ssh" else ""
    link = canonical_link(f"https://{host}{port}/{name}")
    file_page = _FILE_PAGES.get(host, "blob/{branch}").format(branch=quote(branch))
    return _Origin(
        source_link=source_link.removesuffix(".git") if on_forge else source_link,
        link=link,
        name=name,
        platform=host,
        files=f"{link}/{file_page}",
    )


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
    return parts._replace(path=path, query="", fragment="")


def _is_on_forge(parts: SplitResult) -> bool:
    """Return whether this is the front page of a repository on a well-known host: ``/owner/name``."""
    segments = [segment for segment in parts.path.split("/") if segment]
    if parts.hostname == "gitlab.com":
        return len(segments) >= 2 and "-" not in segments
    return (
        parts.hostname in _FILE_PAGES
        and len(segments) == 2
        and not (parts.hostname == "github.com" and segments[0].lower() in _OWN_PAGES_OF_GITHUB)
    )
