"""Reading an export, or a folder of texts, once: what a user has downloaded, not what a schedule looks at."""

from __future__ import annotations

from pathlib import Path

from llmtwin.documents import User
from llmtwin.errors import ForbiddenLinkError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard
from llmtwin.sources.exports import EXPORTS, ImportOptions, UnknownArchive
from llmtwin.sources.folder import FolderSource
from llmtwin.sources.source import Crawl, Known, nothing_known


def import_from(
    given: str, author: User, settings: Settings, options: ImportOptions, known: Known = nothing_known
) -> Crawl:
    """Start reading an export, or a folder of Markdown and HTML files, also one that git keeps.

    Args:
        given: A path or ``file:`` link. A relative one is looked up in the folder of imports, all of which may be read;
            any other path needs ``crawl_allow_local``.
        author: Whose writing it is.
        settings: Limits, and the folder of imports.
        options: What else is wanted of an export.
        known: What earlier crawls stored.

    Raises:
        SourceError: It is neither, or cannot be read, or settings do not allow it.
    """
    path, allowed = _allowed(given, settings)
    link = path.as_uri()
    for export in EXPORTS:
        if export.accepts(link):
            return export.crawl(link, author, allowed, known, options)
    for source in (FolderSource(), UnknownArchive(EXPORTS)):
        if source.accepts(link):
            return source.crawl(link, author, allowed, known)
    raise UnreadableError(given, "is neither an export (a zip, or the folder it came out of) nor a folder of texts")


def _allowed(given: str, settings: Settings) -> tuple[Path, Settings]:
    """Return the path, symlinks followed, and settings under which it may be read."""
    spelled = guard.unresolved_path(given) if guard.is_local(given) else None
    if spelled is None:
        raise ForbiddenLinkError(given, "is no path of this machine; what is on the web is crawled, not imported")
    is_absolute = False
    try:
        spelled = spelled.expanduser()
        is_absolute = spelled.is_absolute()
        imports = settings.imports.expanduser().resolve()
        path = (imports / spelled).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        where = "" if is_absolute else f"; the folder of imports is {settings.imports}"
        raise UnreachableError(given, f"cannot be opened: {why}{where}") from error
    if path.is_relative_to(imports):
        return path, settings.model_copy(update={"crawl_allow_local": True})
    if not is_absolute:
        raise ForbiddenLinkError(given, f"leads out of the folder of imports, {settings.imports}")
    return guard.local_path(given, settings), settings
