"""Crawling registered sources into the warehouse. The DAG, the CLI and the tests all call these."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pymongo.database import Database

from llmtwin import sources, warehouse
from llmtwin.documents import user_id
from llmtwin.documents.contract import Text
from llmtwin.errors import SettingsError, SourceError
from llmtwin.settings import Settings
from llmtwin.warehouse import RegisteredSource

Row = dict[str, Any]
# What a crawl counts, in the order tables show it.
COUNTS = ("found", "new", "changed", "unchanged", "deleted", "skipped")


def sources_to_crawl(database: Database[Row], author: str | None, links: Sequence[str]) -> list[RegisteredSource]:
    """Register these links and return them; without links return all registered sources, of the author if given.

    Raises:
        SettingsError: There are links but nobody who wrote what is behind them, or a link or the author is no text.
    """
    links = [link.strip() for link in links if link.strip()]
    if not links:
        everything = warehouse.registered_sources(database)
        return [source for source in everything if not author or source.author_id == user_id(author)]
    if not (author and author.strip()):
        raise SettingsError("links need an author: give the full name of whoever wrote what is behind them")
    links = [sources.registered_link(link) for link in links]
    for given in (author, *links):
        _require_text(given)
    user = warehouse.get_or_create_user(database, author)
    registered = {link: warehouse.register_source(database, user, link) for link in links}
    return list(registered.values())


def crawl_source(database: Database[Row], source: RegisteredSource, settings: Settings) -> Row:
    """Crawl a source into the warehouse and record how it went; return the counts of ``StoreResult``.

    Raises:
        SourceError: The link as a whole failed; the reason is recorded with the source.
    """
    user = warehouse.get_or_create_user(database, source.author_full_name)
    try:
        result = warehouse.store_crawl(database, sources.crawl(source.link, user, settings), user)
    except SourceError as error:
        warehouse.finish_crawl(database, source, error=str(error))
        raise
    counts = {name: sum(result.skipped.values()) if name == "skipped" else getattr(result, name) for name in COUNTS}
    failed = "; ".join(result.failed[:5]) + (f"; and {len(result.failed) - 5} more" if len(result.failed) > 5 else "")
    warehouse.finish_crawl(database, source, counts, failed or None)
    return result.to_dict()


def _require_text(given: str) -> None:
    try:
        TypeAdapter(Text).validate_python(given)
    except ValidationError as error:
        raise SettingsError(f"{given!r} can be no author or link: {error.errors()[0]['msg']}") from error


def by_pool(registered: Iterable[RegisteredSource], pools: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Spread sources over pools so that all of a domain fall into the same one."""
    spread: dict[str, list[dict[str, str]]] = {pool: [] for pool in pools}
    for source in registered:
        domain = sources.domain_of(source.link)
        pool = pools[zlib.crc32(domain.encode()) % len(pools)]
        spread[pool].append({"id": str(source.id), "author": source.author_full_name, "link": source.link})
    return spread


def summarize(database: Database[Row], ids: Iterable[str], since: datetime) -> list[Row]:
    """Return one row per domain: successful and total crawls, document counts, and why some failed.

    Args:
        database: The warehouse.
        ids: The registered sources that were to be crawled.
        since: When the run began; a source not crawled since then never finished.
    """
    wanted = set(ids)
    rows: dict[str, Row] = defaultdict(lambda: {"successful": 0, "total": 0, **dict.fromkeys(COUNTS, 0), "failed": []})
    for source in warehouse.registered_sources(database):
        if str(source.id) not in wanted:
            continue
        row = rows[sources.domain_of(source.link)]
        row["total"] += 1
        finished = source.last_crawled_at is not None and source.last_crawled_at >= since
        if finished and source.last_error is None:
            row["successful"] += 1
        else:
            row["failed"].append(source.last_error if finished else f"{source.link!r}: its crawl did not finish")
        for name in COUNTS if finished else ():
            row[name] += source.last_counts.get(name, 0)
    return [{"domain": domain, **row} for domain, row in sorted(rows.items())]


def summary_text(summary: Iterable[Row]) -> str:
    """Return a summary as lines for a log."""
    lines = []
    for row in summary:
        counts = ", ".join(f"{row[name]} {name}" for name in COUNTS)
        lines.append(f"{row['domain']}: {row['successful']} of {row['total']} links crawled; documents: {counts}")
        lines.extend(f"  failed: {reason}" for reason in row["failed"])
    return "\n".join(lines) or "nothing to crawl: no source is registered"
