"""Pages kept on disk, so that a server is asked only whether they have changed (RFC 9111).

One SQLite file in the data folder, which several crawls may use at once. What is wrong with it (a full disk, a damaged
file, no permission) makes crawls slower, never wrong: they go to the server.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import structlog

from llmtwin.settings import Settings

if TYPE_CHECKING:
    from hishel import SqliteStorage

# What reading from the storage may raise: SQLite's own errors, and hishel's for a file that is not its own or an entry
# that another process removed meanwhile.
FAILURES = (sqlite3.Error, RuntimeError)

_SECONDS_UNUSED = 90 * 24 * 3600.0

_log = structlog.get_logger(__name__)


def open_storage(settings: Settings) -> SqliteStorage | None:
    """Return the storage of pages; None where settings want none, or where there can be no folder for it."""
    from hishel import SqliteStorage

    if not settings.crawl_cache_bytes:
        return None
    folder = settings.data / "http-cache"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what is in it may be for the author's eyes only
    except OSError as error:
        _log.warning("pages are not cached", folder=str(folder), reason=str(error))
        return None
    return SqliteStorage(
        database_path=folder / "pages.db",
        default_tti=_SECONDS_UNUSED,
        max_stream_size=settings.crawl_max_page_bytes,
        max_size=settings.crawl_cache_bytes,
    )
