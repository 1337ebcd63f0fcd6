"""Fetches the newest commit of a repository behind https or ssh, and of it no more than is needed.

The first time that is all blobs up to a size. Later the server is told which commit was crawled before, and sends what
changed since: git rebuilds the partial clone as it was (the trees of that commit, no blobs) and fetches into it. Either
way the server leaves out blobs that are too large, and git stops when a pack grows beyond its limit.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult

import structlog

from llmtwin.errors import LoginWallError, SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard, page
from llmtwin.sources.git_command import bare_environment, git_command, last_line, require_git, run
from llmtwin.sources.git_repository import Entry, GitRepository

log = structlog.get_logger(__name__)

_PRIVATE_OR_ABSENT = re.compile(
    "Permission denied|Authentication failed|could not read Username|Repository not found|access denied|HTTP 40[13]",
    re.I,
)
_NO_ANSWER = re.compile(
    "Could not resolve|timed out|Connection (?:refused|reset|closed)|No route|unreachable|Host key verification"
    "|early EOF|returned error: 5",
    re.I,
)
_TOO_LARGE = re.compile("File too large")  # EFBIG
_NO_REPOSITORY = re.compile("not appear to be a git|not found|not a git repository|does not exist", re.I)
_SYMBOLIC_HEAD = re.compile(r"ref: refs/heads/(\S+)\tHEAD$", re.MULTILINE)
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
# No file that git writes grows beyond so many blocks. The signal that says so is ignored: git has words for it.
_LIMITED = ("sh", "-c", 'trap "" XFSZ; ulimit -f "$0"; exec "$@"')
_BLOCK = 512  # bytes, by POSIX


def fetch(link: str, url: SplitResult, folder: Path, settings: Settings, earlier: str | None = None) -> GitRepository:
    """Fetch the newest commit of the default branch, without blobs larger than settings allow.

    Args:
        link: The link as the user gave it, for errors.
        url: Where to fetch from, judged by `guard.web_url`; scheme https, ssh, or (private addresses allowed) http.
        folder: An empty folder.
        settings: Limits of time and size, and rules for addresses.
        earlier: The commit that was crawled before: blobs that it has too are fetched when they are asked for by
            `GitRepository.obtained`. A server that does not have it any more sends everything.

    Raises:
        ForbiddenLinkError: The host, or one that it redirects to, is not public.
        LoginWallError: The repository is private, or there is none.
        UnreachableError: No answer, or not in time.
        UnreadableError: The server has no git repository there, or one that is too large.
    """
    require_git(link)
    server = (_over_ssh if url.scheme == "ssh" else _over_http)(link, url, settings)
    if earlier is not None:
        try:
            return _update(server, folder / "update.git", earlier)
        except UnreadableError:
            raise  # too large: so is the whole
        except SourceError as error:
            # It has that commit no more, or gives none but the newest. Whatever else ails it, cloning says so.
            log.info("fetching all of the repository, not only what changed", link=link, reason=error.reason)
    return _clone(server, folder / "clone.git")


def too_large(link: str, settings: Settings) -> UnreadableError:
    """Return the error of a repository of which more would have to be read than settings allow."""
    limit = settings.crawl_max_repository_bytes
    return UnreadableError(
        link, f"the repository holds more than {limit:,} bytes to read (LLMTWIN_CRAWL_MAX_REPOSITORY_BYTES)"
    )


@dataclass(frozen=True)
class _Server:
    """Where a repository is, and how git reaches it."""

    link: str
    """Names the repository in errors."""
    url: str
    pin: tuple[str, ...]
    """Settings of git that bind the connection to an address that was judged."""
    environment: dict[str, str]
    settings: Settings

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run a command of git that may ask the server, and writes no pack larger than settings allow.

        Raises:
            SourceError: It failed; the subclass says in which way.
        """
        blocks = self.settings.crawl_max_repository_bytes // _BLOCK + 1
        command = [*_LIMITED, str(blocks), *git_command("fetch.unpackLimit=1", *self.pin), *arguments]
        done = run(self.link, command, self.environment, self.settings.crawl_git_timeout_seconds, stdin)
        if done.returncode != 0:
            raise self._error(done)
        return done.stdout.decode("utf-8", "replace")

    def _error(self, done: subprocess.CompletedProcess[bytes]) -> SourceError:
        stderr = done.stderr.decode("utf-8", "replace")
        said = last_line(stderr)
        if _TOO_LARGE.search(stderr):
            return too_large(self.link, self.settings)
        if _PRIVATE_OR_ABSENT.search(stderr):
            return LoginWallError(self.link, f"the repository is private, or there is none: {said}")
        if _NO_ANSWER.search(stderr):
            return UnreachableError(self.link, f"cannot be cloned: {said}")
        if _NO_REPOSITORY.search(stderr):
            return UnreadableError(self.link, f"there is no git repository: {said}")
        return SourceError(self.link, f"git cannot clone it: {said}")


@dataclass(frozen=True, kw_only=True)
class _PartialClone(GitRepository):
    """A clone that holds what changed since an earlier commit, and of that commit no more than the names."""

    server: _Server
    earlier: str

    def obtained(self, entries: list[Entry]) -> list[Entry]:
        """Return these entries after those that the earlier commit had too were fetched."""
        lacking = {entry.blob_id for entry in entries if entry.size is None}
        wanted = lacking and lacking & {entry.blob_id for entry in self.entries(self.earlier)}
        if not wanted:
            return entries
        stdin = "".join(f"{blob_id}\n" for blob_id in sorted(wanted)).encode()
        noop = ("-c", "fetch.negotiationAlgorithm=noop", f"--git-dir={self.git_dir}")
        self.server.git(*noop, *_FETCH, "--filter=blob:none", "--stdin", "origin", stdin=stdin)
        return self._measured(entries, missing=lacking - wanted)


def _clone(server: _Server, target: Path) -> GitRepository:
    how = ("--quiet", "--bare", "--depth=1", "--single-branch", "--no-tags", "--template=", _filter(server.settings))
    server.git("clone", *how, "--", server.url, str(target))
    return GitRepository(server.link, target, server.settings.crawl_git_timeout_seconds, filtered=True)


def _update(server: _Server, target: Path, earlier: str) -> GitRepository:
    """Fetch what changed since the earlier commit.

    Raises:
        SourceError: The server does not give that commit, has no current branch, or does not answer.
    """
    format_ = "sha256" if len(earlier) == 64 else "sha1"
    server.git("init", "--quiet", "--bare", "--template=", f"--object-format={format_}", str(target))
    within = f"--git-dir={target}"
    server.git(within, "remote", "add", "origin", server.url)
    head = _SYMBOLIC_HEAD.search(server.git(within, "ls-remote", "--symref", "origin", "HEAD"))
    if head is None:
        raise SourceError(server.link, "the server names no current branch")
    branch = f"refs/heads/{head[1]}"
    server.git(within, *_FETCH, "--depth=1", "--filter=blob:none", "origin", earlier)
    server.git(within, "update-ref", "refs/llmtwin/earlier", earlier)
    server.git(within, *_FETCH, "--depth=1", _filter(server.settings), "origin", f"+HEAD:{branch}")
    server.git(within, "symbolic-ref", "HEAD", branch)
    timeout = server.settings.crawl_git_timeout_seconds
    return _PartialClone(
        link=server.link, git_dir=target, timeout=timeout, filtered=True, server=server, earlier=earlier
    )


def _filter(settings: Settings) -> str:
    return f"--filter=blob:limit={settings.crawl_max_file_bytes + 1}"


def _over_http(link: str, url: SplitResult, settings: Settings) -> _Server:
    """Ask for the repository as git will, and return where redirects led, pinned to an address that was judged."""
    question = url._replace(path=f"{url.path.rstrip('/')}/info/refs", query="service=git-upload-pack").geturl()
    with page.get(link, question, settings) as response:
        if response.headers.get("Content-Type") != "application/x-git-upload-pack-advertisement":
            raise UnreadableError(link, "the server has no git repository there")
        answered = str(response.url)
    url = guard.web_url(answered.partition("/info/refs?")[0])
    port = url.port or (443 if url.scheme == "https" else 80)
    addresses = guard.resolve(link, url.hostname or "", port, settings)
    slow = [f"http.lowSpeedTime={max(1, round(settings.crawl_timeout_seconds))}", "http.lowSpeedLimit=1000"]
    pin = f"http.curloptResolve={url.hostname}:{port}:{','.join(addresses)}"
    return _Server(link, url.geturl(), (pin, *slow), bare_environment(url.scheme), settings)


def _over_ssh(link: str, url: SplitResult, settings: Settings) -> _Server:
    """Return how to clone over ssh, pinned to an address that was judged; keys and known hosts are the user's own."""
    host, port = url.hostname or "", url.port or 22
    address, *_ = guard.resolve(link, host, port, settings)
    ssh = ["ssh", "-oBatchMode=yes", f"-oConnectTimeout={max(1, round(settings.crawl_timeout_seconds))}"]
    ssh += [f"-oHostName={address}", f"-oHostKeyAlias={host if port == 22 else f'[{host}]:{port}'}"]
    how = {**bare_environment("ssh"), "GIT_SSH_COMMAND": shlex.join(ssh), "GIT_SSH_VARIANT": "ssh"}
    return _Server(link, url.geturl(), (), how, settings)
