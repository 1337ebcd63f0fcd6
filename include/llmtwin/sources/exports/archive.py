"""An export as its platform handed it out: a zip, or the folder it was unpacked into. Nothing is unpacked to disk.

Whatever a zip says about itself is a claim. Names are judged before anything is opened, sizes while it is read.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Self

from llmtwin.errors import ExportLimitError, SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources.encoding import decode
from llmtwin.sources.source import readable

# The first bytes of a zip with something in it, and of an empty one.
_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
# Unpacked members smaller than this are no bomb, whatever their ratio.
_HARMLESS_BYTES = 1_000_000
_CHUNK_BYTES = 1 << 16
# No export holds more files than this; pictures make most of them.
_MOST_MEMBERS = 500_000
# An archive with more members that must not be read is hostile as a whole.
_MOST_PROBLEMS = 100
# Below its top, the folders in which an export keeps what was written. In no other is anything looked for.
_FOLDERS = {"articles", "data", "posts"}
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
_LITTER_FOLDER = "__MACOSX"
_DRIVE = re.compile("[A-Za-z]:/")
_ENCRYPTED = 0x1
# bzip2 and LZMA are unpacked without a bound on what one step gives, and no platform uses them.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class _Entry:
    """A member as it was listed."""

    name: str
    packed_bytes: int | None
    """What it takes in the zip; None where nothing is packed."""
    open: Callable[[], IO[bytes]]
    problem: str | None
    """Why it must not be read."""


class Archive(ABC):
    """The members of an export, by their names below its root. A context manager: closes what it opened."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.failures: list[SourceError] = []
        """One for each member that must not be read."""
        self._settings = settings
        self._opened = ExitStack()
        self._total_bytes = 0
        self._root = ""
        self._entries: dict[str, _Entry] = {}
        self._listed: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened."""
        self._opened.close()

    @property
    def names(self) -> list[str]:
        """The names of all members that may be read, below the root, sorted."""
        return sorted(name[len(self._root) :] for name in self._entries if name.startswith(self._root))

    def find_root(self, recognised: Callable[[Collection[str]], bool]) -> bool:
        """Go to the folder below which the members are recognised: the top, or the only folder there."""
        root = _root(self._listed, recognised)
        self._root = root or ""
        return root is not None

    def link_of(self, name: str) -> str:
        """Return how errors call a member."""
        return f"{self.path.as_uri()}!/{readable(os.fsencode(self._root + name))}"

    def text(self, name: str) -> str:
        """Return a member's text.

        Raises:
            UnreadableError: As `read` does, or it is in an encoding that cannot be told.
            ExportLimitError: As `read` does.
        """
        text = decode(self.read(name))
        if text is None:
            raise UnreadableError(self.link_of(name), "is in an encoding that cannot be told, or is no text")
        return text

    def read(self, name: str) -> bytes:
        """Return a member's content.

        Raises:
            UnreadableError: There is no such member, or it is damaged, too large, or grows too much.
            ExportLimitError: Together with what was read before it, it is too large.
        """
        link = self.link_of(name)
        entry = self._entries.get(self._root + name)
        if entry is None:
            raise UnreadableError(link, "is not in the export")
        content = bytearray()
        try:
            with entry.open() as file:
                while chunk := file.read(_CHUNK_BYTES):
                    content += chunk
                    self._judge(link, len(content), entry.packed_bytes)
                    self._count(len(chunk))
        except _DAMAGE as error:
            raise UnreadableError(link, f"is damaged: {error}; download the export again") from error
        except OSError as error:
            raise UnreadableError(link, f"cannot be read: {error.strerror or error}") from error
        return bytes(content)

    def _judge(self, link: str, size: int, packed: int | None) -> None:
        if size > (limit := self._settings.import_max_member_bytes):
            raise UnreadableError(link, f"is larger than {limit:,} bytes (LLMTWIN_IMPORT_MAX_MEMBER_BYTES)")
        ratio = self._settings.import_max_ratio
        if packed is not None and size > max(_HARMLESS_BYTES, packed * ratio):
            raise UnreadableError(
                link, f"unpacks to over {ratio} times its size, as zip bombs do (LLMTWIN_IMPORT_MAX_RATIO)"
            )

    def _count(self, size: int) -> None:
        self._total_bytes += size
        if self._total_bytes > (limit := self._settings.import_max_bytes):
            raise ExportLimitError(
                self.path.as_uri(), f"more than {limit:,} bytes of it would have to be read (LLMTWIN_IMPORT_MAX_BYTES)"
            )

    def _list(self) -> None:
        """Take in what may be read, and say why the rest may not."""
        entries = [entry for entry in self._scan() if not _is_litter(entry.name)]
        if len(entries) > _MOST_MEMBERS:
            raise UnreadableError(self.path.as_uri(), f"holds more than {_MOST_MEMBERS:,} files, as no export does")
        times = Counter(entry.name for entry in entries)
        for entry in entries:
            problem = entry.problem or ("is there more than once" if times[entry.name] > 1 else None)
            if problem is None:
                self._entries[entry.name] = entry
            elif entry.name not in self._listed:
                self.failures.append(UnreadableError(self.link_of(entry.name), problem))
            self._listed.add(entry.name)
        if len(self.failures) > _MOST_PROBLEMS:
            first = f"the first is {self.failures[0]}"
            raise UnreadableError(
                self.path.as_uri(),
                f"holds {len(self.failures):,} files that must not be read, as no export does; {first}",
            )

    @abstractmethod
    def _scan(self) -> Iterator[_Entry]:
        """Yield every file."""


class ZipArchive(Archive):
    """A zip file."""

    def __init__(self, path: Path, settings: Settings) -> None:
        super().__init__(path, settings)
        try:
            self._zip = self._opened.enter_context(zipfile.ZipFile(path))
        except _DAMAGE as error:
            raise UnreadableError(path.as_uri(), _what_is_wrong(path)) from error
        except OSError as error:
            raise UnreachableError(path.as_uri(), f"cannot be read: {error.strerror or error}") from error
        files = [info for info in self._zip.infolist() if not info.is_dir()]
        if files and all(info.flag_bits & _ENCRYPTED for info in files):
            self.close()
            raise UnreadableError(
                path.as_uri(), "is encrypted; unpack it with its password and import the folder that this gives"
            )
        self._list()

    def _scan(self) -> Iterator[_Entry]:
        for info in self._zip.infolist():
            if info.is_dir():
                continue
            name, problem = _member_name(info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if problem is None and kind == stat.S_IFLNK:
                problem = "is a symbolic link"
            elif problem is None and kind not in (0, stat.S_IFREG):
                problem = "is no regular file"
            elif problem is None and info.flag_bits & _ENCRYPTED:
                problem = "is encrypted"
            elif problem is None and info.compress_type not in _METHODS:
                problem = "is compressed in a way that no export is"
            yield _Entry(name, info.compress_size, partial(self._zip.open, info), problem)


class FolderArchive(Archive):
    """A folder with the same files."""

    def __init__(self, path: Path, settings: Settings) -> None:
        super().__init__(path, settings)
        try:
            self._list()
        except OSError as error:
            raise UnreachableError(path.as_uri(), f"cannot be listed: {error.strerror or error}") from error

    def _scan(self) -> Iterator[_Entry]:
        for file in _files(self.path):
            mode = file.lstat().st_mode
            link = "is a symbolic link" if stat.S_ISLNK(mode) else None
            problem = link or (None if stat.S_ISREG(mode) else "is no regular file")
            yield _Entry(file.relative_to(self.path).as_posix(), None, partial(_open_file, file), problem)


def open_archive(path: Path, settings: Settings) -> Archive:
    """Return the archive at a path.

    Raises:
        UnreadableError: It is neither a folder nor a sound zip, or it is encrypted.
        UnreachableError: It cannot be read.
    """
    return FolderArchive(path, settings) if path.is_dir() else ZipArchive(path, settings)


def holds(path: Path, recognised: Callable[[Collection[str]], bool]) -> bool:
    """Return whether a zip or a folder holds members that are recognised, at its top or in the only folder there."""
    names = [name for name in _member_names(path) if not _is_litter(name)]
    return _root(names, recognised) is not None


def looks_like_zip(path: Path) -> bool:
    """Return whether a file is called a zip, or is called nothing in particular and begins as one.

    So do Office documents and books, but those have names of their own.
    """
    if not path.is_file():  # a pipe would be waited for
        return False
    if path.suffix:
        return path.suffix.lower() == ".zip"
    try:
        with path.open("rb") as file:
            return file.read(4) in _SIGNATURES
    except OSError:
        return False


def _member_names(path: Path) -> list[str]:
    """Return the names of all files in a zip or a folder; none when it cannot be read, or is neither."""
    try:
        if path.is_dir():
            return [file.relative_to(path).as_posix() for file in _files(path)]
        if not looks_like_zip(path):
            return []
        with zipfile.ZipFile(path) as archive:
            named = [_member_name(info.filename) for info in archive.infolist() if not info.is_dir()]
    except (OSError, *_DAMAGE):
        return []
    return [name for name, problem in named if problem is None]


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files at the top of a folder, or in the only folder there, and where exports keep what was written."""
    inside = [entry for entry in os.scandir(folder) if not (entry.name.startswith(".") or _is_litter(entry.name))]
    if len(inside) == 1 and inside[0].is_dir(follow_symlinks=False) and inside[0].name.lower() not in _FOLDERS:
        folder = Path(inside[0].path)
    for parent, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if name.lower() in _FOLDERS)
        yield from (Path(parent, name) for name in sorted(names))


def _open_file(path: Path) -> IO[bytes]:
    """Open a regular file, and not what a link leads to that took its place since it was listed."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _root(names: Collection[str], recognised: Callable[[Collection[str]], bool]) -> str | None:
    """Return the prefix below which the members are recognised: none, or the only folder at the top; else None."""
    if recognised(names):
        return ""
    tops = {name.partition("/")[0] for name in names}
    root = f"{tops.pop()}/" if len(tops) == 1 else ""
    return root if root and recognised([name.removeprefix(root) for name in names]) else None


def _member_name(raw: str) -> tuple[str, str | None]:
    """Return the one spelling of a member's name, and why it must not be read if so."""
    name = raw.replace("\\", "/")  # as old zip programs on Windows write it
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or _DRIVE.match(name):
        return name, "has an absolute name"
    if ".." in parts:
        return name, "has a name that leads out of the archive"
    return ("/".join(parts), None) if parts else (name, "has no name")


def _is_litter(name: str) -> bool:
    """Return whether a file is what operating systems leave in folders and zips."""
    first, *_, last = [*name.split("/"), name.rpartition("/")[2]]
    return first == _LITTER_FOLDER or last in _LITTER


def _what_is_wrong(path: Path) -> str:
    with path.open("rb") as file:
        begins_well = file.read(4) in _SIGNATURES
    if begins_well:
        return "is a zip whose end is missing or damaged; download it again"
    return "is no zip, whatever its name says"
