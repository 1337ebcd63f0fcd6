"""Crawling registered sources into the warehouse. The DAG, the CLI and the tests all call these."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pymongo.database import Database

from llmtwin import sources, warehouse
from llmtwin.documents import canonical_link, user_id
from llmtwin.documents.contract import Text
from llmtwin.errors import HttpStatusError, LoginWallError, SettingsError, SourceError, WarehouseError
from llmtwin.settings import Settings
from llmtwin.warehouse import RegisteredSource, StoreResult, find_source

Row = dict[str, Any]
# What a crawl counts, in the order tables show it.
COUNTS = ("found", "new", "changed", "unchanged", "missed", "deleted", "skipped")
_GONE = (404, 410)


def sources_to_crawl(
    database: Database[Row], author: str | None, links: Sequence[str], settings: Settings
) -> list[RegisteredSource]:
    """Register these links and return what to crawl for them; without links, for all sources, of the author if given.

    All sources are those registered before and those in sources.yaml. A link that stands for many (all repositories of
    a user) gives one registered source for each. Every crawl begins here, so the schema is brought up to date first.

    Raises:
        SettingsError: There are links but nobody who wrote what is behind them, a link or the author is no text, or
            sources.yaml is not as it should be.
        ForbiddenLinkError: A link carries a password.
    """
    links = [link.strip() for link in links if link.strip()]
    if links:
        warehouse.ensure_schema(database)
        registered = _register(database, author, links)
    else:
        everything = all_sources(database, author, settings)
        registered = [source for source in everything if source.by_hand or source.declared]
    found = [crawled for source in registered for crawled in _expanded(database, source, settings)]
    return list({source.id: source for source in found}.values())


def all_sources(database: Database[Row], author: str | None, settings: Settings) -> list[RegisteredSource]:
    """Return all registered sources, of the author if given, once those of sources.yaml are among them.

    Raises:
        SettingsError: sources.yaml is not as it should be.
        ForbiddenLinkError: A link in it carries a password.
    """
    warehouse.ensure_schema(database)
    _register_declared(database, settings)
    everything = warehouse.registered_sources(database)
    return [source for source in everything if not author or source.author_id == user_id(author)]


def forget_source(database: Database[Row], author: str | None, link: str) -> RegisteredSource:
    """Crawl a registered link no more, nor those that it alone stands for; their documents stay.

    Raises:
        WarehouseError: It is not registered, or for several authors and none is given, or it stands in sources.yaml.
    """
    wanted = canonical_link(sources.registered_link(link))
    registered = [
        source
        for source in warehouse.registered_sources(database)
        if canonical_link(source.link) == wanted and (not author or source.author_id == user_id(author))
    ]
    if len(registered) > 1:
        names = ", ".join(source.author_full_name for source in registered)
        raise WarehouseError(f"{link!r} is registered for {names}: say whose is to be forgotten")
    if not registered:
        raise WarehouseError(f"{link!r} is not registered{f' for {author}' if author else ''}; see `llmtwin sources`")
    [source] = registered
    warehouse.forget_source(database, source)
    return source


def crawl_source(database: Database[Row], source: RegisteredSource, settings: Settings) -> Row:
    """Crawl a source into the warehouse and record how it went; return the counts of ``StoreResult``.

    Raises:
        SourceError: The link as a whole failed; the reason is recorded with the source. If it is gone, all of its
            documents were missed.
    """
    user = warehouse.get_or_create_user(database, source.author_full_name)
    try:
        if sources.expand(source.link, settings) != [source.link]:
            raise SourceError(source.link, "what it stands for could not be told at first, but can now; crawl it again")
        crawl = sources.crawl(source.link, user, settings, warehouse.known(database, user))
    except SourceError as error:
        source = find_source(database, source.id)
        missed = warehouse.store_miss(database, source) if _is_gone(source, error) else StoreResult()
        told = (
            f"{error}; {missed.deleted} of its documents, missed twice, were deleted" if missed.deleted else str(error)
        )
        warehouse.finish_crawl(database, source, _counts(missed), told)
        raise
    warehouse.begin_crawl(database, source, crawl.source_link)
    try:
        result = warehouse.store_crawl(database, crawl, user)
    except SourceError as error:
        warehouse.finish_crawl(database, source, error=str(error))
        raise
    failed = "; ".join(result.failed[:5]) + (f"; and {len(result.failed) - 5} more" if len(result.failed) > 5 else "")
    warehouse.finish_crawl(database, source, _counts(result), failed or None)
    return result.to_dict()


def import_export(
    database: Database[Row], author: str | None, path: str, settings: Settings, options: sources.ImportOptions
) -> Row:
    """Read an export, or a folder of texts, into the warehouse; return the counts of ``StoreResult``.

    It is not registered: it does not change any more, so there is nothing to look at every day.

    Args:
        database: The warehouse.
        author: Full name of who wrote what is in it.
        path: A relative one is looked up in the folder of imports.
        settings: Limits, the folder of imports, and whether other paths may be read.
        options: What else of it is wanted.

    Raises:
        SettingsError: Nobody is named who wrote it.
        SourceError: It cannot be read at all.
    """
    if not (author and author.strip()):
        raise SettingsError("an import needs an author: give the full name of whoever wrote what is in it")
    _require_text(author)
    warehouse.ensure_schema(database)
    user = warehouse.get_or_create_user(database, author)
    crawl = sources.import_from(path, user, settings, options, warehouse.known(database, user))
    return warehouse.store_crawl(database, crawl, user).to_dict()


def import_row(database: Database[Row], path: str, settings: Settings, author: str | None, **options: Any) -> Row:
    """Read an export as `import_export` does; return its row of the summary, which also says why it failed.

    Args:
        database: The warehouse.
        path: See `import_export`.
        settings: See `import_export`.
        author: See `import_export`.
        options: The fields of ``ImportOptions``, as a form gives them.
    """
    try:
        result = import_export(database, author, path, settings, sources.ImportOptions(**options))
    except (SettingsError, SourceError) as error:
        result = {"failed": [str(error)]}
    counts = {name: result.get(name, 0) for name in COUNTS}
    skipped = sum(result.get("skipped", {}).values())
    failed = result["failed"]
    return {"domain": path, "successful": int(not failed), "total": 1, **counts, "skipped": skipped, "failed": failed}


def summarize_imports(paths: Sequence[str], rows: Iterable[Row | None]) -> list[Row]:
    """Return the rows of the summary for these exports; None stands for one whose import did not come to an end."""
    never = {"successful": 0, "total": 1, **dict.fromkeys(COUNTS, 0)}
    return [
        row or {"domain": path, **never, "failed": [f"{path!r}: its import did not finish"]}
        for path, row in zip(paths, rows, strict=True)
    ]


def _register(database: Database[Row], author: str | None, links: Sequence[str]) -> list[RegisteredSource]:
    if not (author and author.strip()):
        raise SettingsError("links need an author: give the full name of whoever wrote what is behind them")
    links = [sources.registered_link(link) for link in links]
    for given in (author, *links):
        _require_text(given)
    user = warehouse.get_or_create_user(database, author)
    return [warehouse.register_source(database, user, link) for link in links]


def _register_declared(database: Database[Row], settings: Settings) -> None:
    """Make the registered sources those of sources.yaml, besides those that were given by hand."""
    declared: set[UUID] = set()
    for author, links in warehouse.declared_sources(settings.declared_sources).items():
        user = warehouse.get_or_create_user(database, author)
        registered = (sources.registered_link(link) for link in links)
        declared |= {warehouse.register_source(database, user, link, declared=True).id for link in registered}
    warehouse.withdraw_declared(database, declared)


def _expanded(database: Database[Row], source: RegisteredSource, settings: Settings) -> list[RegisteredSource]:
    """Return the sources that a registered one stands for, registered too: those listed now and those listed before.

    One that is listed no more is still crawled, so that its documents are missed, until it has none. When the list
    cannot be read, the source stands for itself too: its crawl says why.
    """
    children = {child.id: child for child in warehouse.registered_sources(database) if child.listed_by == source.id}
    try:
        links = sources.expand(source.link, settings)
    except SourceError:
        return [source, *children.values()]
    if links == [source.link]:
        return [source]
    user = warehouse.get_or_create_user(database, source.author_full_name)
    listed = [warehouse.register_source(database, user, link, listed_by=source.id) for link in links]
    for child in listed:
        children.pop(child.id, None)
    for child in children.values():
        if warehouse.has_documents(database, child):
            warehouse.mark_unlisted(database, child)
            listed.append(child)
        else:
            warehouse.withdraw_listed(database, child)
    warehouse.finish_crawl(database, source)
    return listed


def _is_gone(source: RegisteredSource, error: SourceError) -> bool:
    """Return whether a failure says that there is nothing any more where the source was.

    GitHub asks for a login where there is no repository. That says so too, once the list of its owner says the same.
    """
    if isinstance(error, HttpStatusError):
        return error.status in _GONE
    return isinstance(error, LoginWallError) and not source.listed


def _counts(result: StoreResult) -> dict[str, int]:
    return {name: sum(result.skipped.values()) if name == "skipped" else getattr(result, name) for name in COUNTS}


def _require_text(given: str) -> None:
    try:
        TypeAdapter(Text).validate_python(given)
    except ValidationError as error:
        raise SettingsError(f"{given!r} can be no author or link: {error.errors()[0]['msg']}") from error


def work_of_run(
    database: Database[Row],
    settings: Settings,
    pools: Sequence[str],
    *,
    author: str | None,
    links: Sequence[str] | None,
    exports: Sequence[str] | None,
) -> dict[str, list[Any]]:
    """Return what a run has to crawl, by pool, and under ``exports`` what to import; with exports alone, only that.

    Raises:
        SettingsError: As `sources_to_crawl` does.
    """
    links = [link for link in links or [] if link.strip()]
    paths = [path.strip() for path in exports or [] if path.strip()]
    registered = sources_to_crawl(database, author, links, settings) if links or not paths else []
    return {**by_pool(registered, pools), "exports": paths}


def by_pool(registered: Iterable[RegisteredSource], pools: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Spread sources over pools so that all of a site, subdomains and all, fall into the same one."""
    spread: dict[str, list[dict[str, str]]] = {pool: [] for pool in pools}
    for source in registered:
        pool = pools[zlib.crc32(_site(sources.domain_of(source.link)).encode()) % len(pools)]
        spread[pool].append({"id": str(source.id), "author": source.author_full_name, "link": source.link})
    return spread


def _site(domain: str) -> str:
    """Return what a host and its neighbours share: authors' subdomains of a platform are one server to be polite to.

    Two labels may be too few (`co.uk`); then sites that have nothing in common wait for each other, no more.
    """
    return domain if domain.replace(".", "").isdigit() else ".".join(domain.split(".")[-2:])


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
