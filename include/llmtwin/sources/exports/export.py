"""What every export is. A new platform is a file with a subclass, and a row in the dispatcher's table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit
from uuid import UUID

from llmtwin.documents import RawArticle, RawPost, User
from llmtwin.errors import ExportLimitError, SettingsError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard
from llmtwin.sources.exports.archive import Archive, holds, looks_like_zip, open_archive
from llmtwin.sources.source import Crawl, Known, Source, nothing_known

Document = RawArticle | RawPost


@dataclass(frozen=True)
class ImportOptions:
    """What else of an export is wanted."""

    drafts: bool = False
    """What was never published too."""
    podcasts: bool = False
    """The notes of podcast episodes too."""
    site: str | None = None
    """Where the publication is on the web, as ``https://host``, for exports that do not say it (Substack)."""

    def __post_init__(self) -> None:
        """Bring the site to its one spelling.

        Raises:
            SettingsError: It is no address of a publication.
        """
        object.__setattr__(self, "site", _site(self.site) if self.site else None)


@dataclass(frozen=True)
class Opened:
    """An export that is being read."""

    archive: Archive
    author: User
    options: ImportOptions
    crawl: Crawl

    def each(self, names: Iterable[str], read: Callable[[str], Document | None]) -> Iterator[Document]:
        """Yield what is read of each member; one that cannot be read is a failure, and the rest goes on."""
        for name in names:
            try:
                document = read(name)
            except UnreadableError as error:
                self.crawl.failures.append(error)
                continue
            if document is not None:
                yield document

    def skip(self, reason: str) -> None:
        """Count an item that is left out on purpose."""
        self.crawl.skipped[reason] += 1


class Export(Source):
    """What a platform hands out on request: a zip, or the folder it was unpacked into.

    Only the members that hold published writing are ever opened; messages, contacts and profiles stay closed.
    """

    platform: ClassVar[str]
    title: ClassVar[str]
    """What the platform's users call it."""
    sign: ClassVar[str]
    """The members it is recognised by, in words."""

    def accepts(self, link: str) -> bool:
        path = guard.existing_path(link) if guard.is_local(link) else None
        return path is not None and holds(path, self.recognises)

    @abstractmethod
    def recognises(self, names: Collection[str]) -> bool:
        """Return whether these are the members of such an export."""

    @abstractmethod
    def documents(self, opened: Opened) -> Iterator[Document]:
        """Yield what the author published.

        Raises:
            UnreadableError: A member that all the rest depends on cannot be read.
            ExportLimitError: More would have to be read than settings allow.
        """

    def crawl(
        self,
        link: str,
        author: User,
        settings: Settings,
        known: Known = nothing_known,
        options: ImportOptions = ImportOptions(),
    ) -> Crawl:
        """Start reading an export. It never counts as complete: what it lacks may be younger than it is."""
        archive = open_archive(guard.local_path(link, settings), settings)
        if not archive.find_root(self.recognises):
            archive.close()
            raise UnreadableError(link, f"is no {self.title}: that has {self.sign}")
        crawl = Crawl(f"export:{self.platform}:{author.id}", failures=list(archive.failures))
        crawl.documents = self._stream(Opened(archive, author, options, crawl))
        return crawl

    def _stream(self, opened: Opened) -> Iterator[Document]:
        """Yield each document once, and close the archive."""
        seen: set[UUID] = set()
        with opened.archive:
            try:
                for document in self.documents(opened):
                    if document.id in seen:
                        opened.skip("duplicate")
                        continue
                    seen.add(document.id)
                    yield document
            except (UnreadableError, ExportLimitError) as error:
                opened.crawl.failures.append(error)


def _site(site: str) -> str:
    try:
        parts = urlsplit(site if "://" in site else f"https://{site}")
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if "." not in host or parts.scheme not in ("https", "http"):
        raise SettingsError(f"{site!r} is no address of a publication; that looks like https://name.substack.com")
    return f"https://{host}"


class UnknownArchive(Source):
    """Takes every zip that no export recognises, to say what would be."""

    name = "unknown_archive"

    def __init__(self, exports: Collection[Export]) -> None:
        self._exports = exports

    def accepts(self, link: str) -> bool:
        path = guard.existing_path(link) if guard.is_local(link) else None
        return path is not None and path.is_file() and looks_like_zip(path)

    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        path = guard.local_path(link, settings)
        with open_archive(path, settings) as archive:
            supported = "; ".join(f"{export.title} ({export.sign})" for export in self._exports)
            inside = ", ".join(archive.names[:5]) or "nothing"
            if archive.failures and not archive.names:
                raise archive.failures[0]
        raise UnreadableError(link, f"is a zip with {inside}, which is no export known here. Known are: {supported}")
