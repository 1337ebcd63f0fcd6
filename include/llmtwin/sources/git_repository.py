"""Reads a git repository of this machine, without a work tree.

Files are listed by ``git ls-tree`` and read by ``git cat-file``, so hostile file names, symlinks, smudge filters, hooks
and file-system monitors have nothing to act on.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from llmtwin.errors import UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources.git_command import bare_environment, git_command, last_line, run, running

SYMLINK = "120000"
SUBMODULE = "160000"


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
    """Whether a blob that the repository lacks was left at a server because it is larger than settings allow."""

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
            mode, _, blob_id = meta.decode("ascii").split()
            found.append(Entry(path, mode, blob_id, None))
        return self._measured(found, self._missing(commit))

    def obtained(self, entries: list[Entry]) -> list[Entry]:
        """Return these entries after what the repository lacks was got from where it can be had: from nowhere, here."""
        return entries

    def _measured(self, entries: list[Entry], missing: Iterable[str] = ()) -> list[Entry]:
        """Return the entries with the sizes of their blobs, of those that are not missing."""
        blobs = {entry.blob_id for entry in entries if entry.mode != SUBMODULE}
        sizes = self._sizes(blobs.difference(missing))
        return [replace(entry, size=sizes.get(entry.blob_id, entry.size)) for entry in entries]

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
        with running(command, bare_environment("none"), stderr=subprocess.DEVNULL) as process:
            yield BlobReader(process)

    @property
    def _command(self) -> list[str]:
        return [*git_command(), f"--git-dir={self.git_dir}"]

    def _git(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return run(self.link, [*self._command, *arguments], bare_environment("none"), self.timeout, stdin)

    def _checked(self, done: subprocess.CompletedProcess[bytes]) -> bytes:
        if done.returncode != 0:
            raise UnreadableError(self.link, f"git cannot read the repository: {last_line(done.stderr)}")
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
    command = [*git_command(), "-C", str(root), "rev-parse", "--absolute-git-dir"]
    environment = {**bare_environment("none"), "GIT_CEILING_DIRECTORIES": str(root.parent)}
    found = run(link, command, environment, settings.crawl_timeout_seconds)
    if found.returncode != 0:
        raise UnreadableError(link, f"is no git repository: {last_line(found.stderr)}")
    git_dir = Path(os.fsdecode(found.stdout.removesuffix(b"\n")))
    return GitRepository(link, git_dir, settings.crawl_git_timeout_seconds)
