"""Reads a git repository without a work tree and without running anything that the repository configures.

Files are listed by ``git ls-tree`` and read by ``git cat-file``, so hostile file names, symlinks, smudge filters, hooks
and file-system monitors have nothing to act on. git runs with a bare environment: no system or user configuration, no
prompts, no credential helper, and only the transport that the link needs.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult

from llmtwin.errors import LoginWallError, SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard, page

OLDEST_GIT = (2, 37)  # knows http.curloptResolve, by which the address is pinned

# Wins over everything that a repository's own configuration says.
_SAFE_CONFIG = (
    "safe.directory=*",  # nothing configured there is run, so its owner does not matter
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.alternateRefsCommand=",
    "credential.helper=",
    "http.followRedirects=false",
    "http.proxy=",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "transfer.bundleURI=false",
    "gc.auto=0",
)
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR")
_PRIVATE_OR_ABSENT = re.compile(
    "Permission denied|Authentication failed|could not read Username|Repository not found|access denied|HTTP 40[13]",
    re.I,
)
_NO_ANSWER = re.compile(
    "Could not resolve|timed out|Connection (?:refused|reset|closed)|No route|unreachable|Host key verification"
    "|early EOF|returned error: 5",
    re.I,
)
_NO_REPOSITORY = re.compile("not appear to be a git|not found|not a git repository|does not exist", re.I)


@dataclass(frozen=True)
class Entry:
    """One path of a commit's tree."""

    path: bytes
    mode: str
    """As git writes it: `100644` file, `100755` executable, `120000` symlink, `160000` submodule."""
    blob_id: str
    size: int | None
    """Bytes; None when the repository does not have the blob, or cannot read it; and for a submodule."""


@dataclass(frozen=True)
class GitRepository:
    """A repository on this machine, read at its HEAD."""

    link: str
    """Names it in errors."""
    git_dir: Path
    timeout: float
    """Seconds that listing may take."""
    filtered: bool = False
    """Whether blobs were left at the server because they are larger than settings allow."""

    def head(self) -> str:
        """Return the commit that HEAD names.

        Raises:
            UnreadableError: There is no commit yet.
        """
        found = self._git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if found.returncode != 0:
            raise UnreadableError(self.link, "the repository is empty: it has no commit on its current branch")
        return found.stdout.decode("ascii").strip()

    def branch(self) -> str:
        """Return the branch that HEAD names; `HEAD` itself where it names none."""
        found = self._git("symbolic-ref", "--quiet", "--short", "HEAD")
        return found.stdout.decode("utf-8", "replace").strip() or "HEAD"

    def entries(self, commit: str) -> list[Entry]:
        """Return every path of a commit, in git's order.

        Raises:
            UnreadableError: git cannot read the tree: the repository is damaged.
        """
        listing = self._checked(self._git("ls-tree", "-r", "-z", "--full-tree", commit))
        found = []
        for line in listing.split(b"\0")[:-1]:
            meta, _, path = line.partition(b"\t")
            mode, kind, blob_id = meta.decode("ascii").split()
            found.append((path, mode, kind, blob_id))
        sizes = self._sizes({blob_id for _, _, kind, blob_id in found if kind == "blob"} - self._missing(commit))
        return [Entry(path, mode, blob_id, sizes.get(blob_id)) for path, mode, _, blob_id in found]

    def _missing(self, commit: str) -> set[str]:
        """Return the objects of a commit that the repository lacks.

        Asking ``cat-file`` for one of these would make git fetch it from where the repository says.
        """
        arguments = ("--objects", "--no-object-names", "--no-walk", "--missing=print", commit)
        listing = self._checked(self._git("rev-list", *arguments)).decode("ascii")
        return {line[1:] for line in listing.splitlines() if line.startswith("?")}

    def _sizes(self, blob_ids: set[str]) -> dict[str, int]:
        asked = sorted(blob_ids)
        stdin = "".join(f"{blob_id}\n" for blob_id in asked).encode()
        answers = self._checked(self._git("cat-file", "--batch-check=%(objectsize)", stdin=stdin)).splitlines()
        return {blob_id: int(size) for blob_id, size in zip(asked, answers, strict=True) if size.isdigit()}

    @contextmanager
    def blobs(self) -> Iterator[BlobReader]:
        """Open a reader of blobs, one git process for all of them."""
        command = [*self._command, "cat-file", "--batch"]
        with _process(command, _environment("none"), stderr=subprocess.DEVNULL) as process:
            yield BlobReader(process)

    @property
    def _command(self) -> list[str]:
        return [*_git_command(), f"--git-dir={self.git_dir}"]

    def _git(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return _run(self.link, [*self._command, *arguments], _environment("none"), self.timeout, stdin)

    def _checked(self, done: subprocess.CompletedProcess[bytes]) -> bytes:
        if done.returncode != 0:
            raise UnreadableError(self.link, f"git cannot read the repository: {_last_line(done.stderr)}")
        return done.stdout


@dataclass(frozen=True)
class BlobReader:
    """Reads blobs one after the other from ``git cat-file --batch``."""

    process: subprocess.Popen[bytes]

    def read(self, link: str, entry: Entry) -> bytes:
        """Return the content of a file.

        Args:
            link: The file's own link, for errors.
            entry: The file.

        Raises:
            UnreadableError: The repository does not have it, or git stopped.
        """
        if entry.size is None:
            raise UnreadableError(link, f"its blob {entry.blob_id} is missing: the repository is damaged, or partial")
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(f"{entry.blob_id}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise UnreadableError(link, f"git stopped before it gave blob {entry.blob_id}") from error
        header = self.process.stdout.readline()
        content = self.process.stdout.read(entry.size + 1)
        if header.split() != [entry.blob_id.encode(), b"blob", str(entry.size).encode()] or len(content) <= entry.size:
            raise UnreadableError(link, f"git cannot give blob {entry.blob_id}: the repository is damaged")
        return content[:-1]


def is_repository(path: Path) -> bool:
    """Return whether this folder is the root of a git work tree, or a bare repository."""
    return (path / ".git").exists() or all((path / part).exists() for part in ("HEAD", "objects", "refs"))


def open_local(link: str, root: Path, settings: Settings) -> GitRepository:
    """Return the repository whose root, or whose bare folder, is `root`.

    Raises:
        UnreadableError: git does not take it for one.
    """
    command = [*_git_command(), "-C", str(root), "rev-parse", "--absolute-git-dir"]
    environment = {**_environment("none"), "GIT_CEILING_DIRECTORIES": str(root.parent)}
    found = _run(link, command, environment, settings.crawl_timeout_seconds)
    if found.returncode != 0:
        raise UnreadableError(link, f"is no git repository: {_last_line(found.stderr)}")
    git_dir = Path(os.fsdecode(found.stdout.removesuffix(b"\n")))
    return GitRepository(link, git_dir, settings.crawl_git_timeout_seconds)


def clone(link: str, url: SplitResult, target: Path, settings: Settings) -> GitRepository:
    """Clone the newest commit of the default branch into `target`, without blobs larger than settings allow.

    Args:
        link: The link as the user gave it, for errors.
        url: Where to clone from, judged by `guard.web_url`; scheme https, ssh, or (private addresses allowed) http.
        target: A folder that does not exist yet.
        settings: Its time limit and its rules for addresses apply.

    Raises:
        ForbiddenLinkError: The host, or one that it redirects to, is not public.
        LoginWallError: The repository is private, or there is none.
        UnreachableError: No answer, or not in time.
        UnreadableError: The server has no git repository there.
    """
    _require_git(link)
    url, pin, environment = (_over_ssh if url.scheme == "ssh" else _over_http)(link, url, settings)
    command = [*_git_command(*pin), "clone", "--quiet", "--bare", "--depth=1", "--single-branch", "--no-tags"]
    command += [
        f"--filter=blob:limit={settings.crawl_max_file_bytes + 1}",
        "--template=",
        "--",
        url.geturl(),
        str(target),
    ]
    done = _run(link, command, environment, settings.crawl_git_timeout_seconds)
    if done.returncode != 0:
        raise _clone_error(link, done.stderr.decode("utf-8", "replace"))
    return GitRepository(link, target, settings.crawl_git_timeout_seconds, filtered=True)


def _over_http(link: str, url: SplitResult, settings: Settings) -> tuple[SplitResult, list[str], dict[str, str]]:
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
    return url, [pin, *slow], _environment(url.scheme)


def _over_ssh(link: str, url: SplitResult, settings: Settings) -> tuple[SplitResult, list[str], dict[str, str]]:
    """Return how to clone over ssh, pinned to an address that was judged; keys and known hosts are the user's own."""
    host, port = url.hostname or "", url.port or 22
    address, *_ = guard.resolve(link, host, port, settings)
    ssh = ["ssh", "-oBatchMode=yes", f"-oConnectTimeout={max(1, round(settings.crawl_timeout_seconds))}"]
    ssh += [f"-oHostName={address}", f"-oHostKeyAlias={host if port == 22 else f'[{host}]:{port}'}"]
    return url, [], {**_environment("ssh"), "GIT_SSH_COMMAND": shlex.join(ssh), "GIT_SSH_VARIANT": "ssh"}


def _clone_error(link: str, stderr: str) -> SourceError:
    if _PRIVATE_OR_ABSENT.search(stderr):
        return LoginWallError(link, f"the repository is private, or there is none: {_last_line(stderr)}")
    if _NO_ANSWER.search(stderr):
        return UnreachableError(link, f"cannot be cloned: {_last_line(stderr)}")
    if _NO_REPOSITORY.search(stderr):
        return UnreadableError(link, f"there is no git repository: {_last_line(stderr)}")
    return SourceError(link, f"git cannot clone it: {_last_line(stderr)}")


def _require_git(link: str) -> None:
    version = _run(link, ["git", "version"], _environment("none"), timeout=10).stdout.decode()
    numbers = re.search(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST_GIT:
        raise SourceError(
            link, f"cloning needs git {'.'.join(map(str, OLDEST_GIT))} or newer; this is {version.strip()!r}"
        )


def _git_command(*config: str) -> list[str]:
    return ["git", *(part for setting in (*_SAFE_CONFIG, *config) for part in ("-c", setting))]


def _environment(protocol: str) -> dict[str, str]:
    """Return git's whole environment; it may speak this protocol only (`none`: nothing is ever fetched)."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | {
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": protocol,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }


def _run(
    link: str, command: Sequence[str], environment: dict[str, str], timeout: float, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    with _process(command, environment) as process:
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(link, f"git did not finish within {timeout:g} s") from error
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@contextmanager
def _process(
    command: Sequence[str], environment: dict[str, str], stderr: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """Start git in a process group of its own, and leave none of it behind."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None and not stream.closed:
                stream.close()
        process.wait()


def _last_line(stderr: bytes | str) -> str:
    text = stderr.decode("utf-8", "replace") if isinstance(stderr, bytes) else stderr
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "git says no more"
