"""``crawl``, ``sources``, ``sync``, ``search``, ``verify``: data in, through and out, and whether all of it arrived."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from llmtwin.vectors import Hit
    from llmtwin.warehouse import RegisteredSource


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    for command in (crawl, sources, sync, search, verify):
        app.command()(command)


def crawl(
    links: Annotated[list[str] | None, typer.Argument(help="Links or paths; none: all registered sources.")] = None,
    author: Annotated[str | None, typer.Option(help="Full name of who wrote what is behind the links.")] = None,
) -> None:
    """Crawl links into MongoDB, here and now, and register them for the daily crawl.

    Without links, those of sources.yaml are crawled too. Local paths are allowed: whoever types this may read them
    anyway.
    """
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.markup import escape

    from llmtwin import crawling, warehouse
    from llmtwin.errors import SourceError
    from llmtwin.settings import get_settings

    settings = get_settings().model_copy(update={"crawl_allow_local": True})
    console = Console()
    results: dict[str, dict[str, Any]] = {}
    since = datetime.now(UTC)
    with warehouse.connect(settings) as client:
        database = warehouse.open_database(client, settings)
        registered = crawling.sources_to_crawl(database, author, links or [], settings)
        for source in registered:
            with console.status(f"crawling {escape(source.link)} …"):
                try:
                    results[source.link] = crawling.crawl_source(database, source, settings)
                except SourceError as error:
                    results[source.link] = {"failed": [str(error)]}
        summary = crawling.summarize(database, [str(source.id) for source in registered], since)
    if not results and links:
        typer.secho("nothing to crawl: these links stand for no repository that settings want", err=True)
        raise typer.Exit(1)
    if not results:
        whose = f" of {author}" if author else ""
        typer.secho(f"no source{whose} is registered; give links: llmtwin crawl --author 'Full Name' LINK …", err=True)
        raise typer.Exit(1)
    console.print(crawl_table(results))
    if len(summary) > 1:
        console.print()
        console.print(crawl_table({row["domain"]: row for row in summary}, "domain"))
    failed = [reason for result in results.values() for reason in result["failed"]]
    for reason in failed:
        typer.secho(f"failed: {reason}", fg=typer.colors.RED, err=True)
    if failed:
        raise typer.Exit(1)


def sources(
    author: Annotated[str | None, typer.Option(help="Only this author's (full name).")] = None,
    forget: Annotated[str | None, typer.Option(help="Crawl this link no more; its documents stay.")] = None,
) -> None:
    """List the sources that are crawled on schedule, with what their last crawl did; or forget one."""
    from rich.console import Console

    from llmtwin import crawling, warehouse
    from llmtwin.settings import get_settings

    settings = get_settings()
    console = Console()
    with warehouse.connect(settings) as client:
        database = warehouse.open_database(client, settings)
        if forget:
            forgotten = crawling.forget_source(database, author, forget)
            typer.echo(f"{forgotten.link} of {forgotten.author_full_name} is crawled no more")
            if forgotten.listed_by:
                typer.echo("unless the link that stands for it names it again: forget that one")
            return
        registered = crawling.all_sources(database, author, settings)
    console.print(sources_table(registered))
    for source in registered:
        if source.last_error:
            typer.secho(f"failed: {source.last_error}", fg=typer.colors.RED, err=True)


def sync() -> None:
    """Drain the queue and run the micro-batches here and now, without Airflow."""
    from rich.console import Console

    from llmtwin import sync as pipeline
    from llmtwin.settings import get_settings

    settings = get_settings()
    console = Console()
    while True:
        drained = pipeline.drain(settings)
        for batch_id in drained.pending:
            with console.status(f"batch {batch_id} …"):
                pipeline.run_batch(batch_id, settings)
            console.print(f"batch {batch_id} done")
        console.print(f"{drained.messages} messages, {drained.events} events, {drained.dead} dead-lettered")
        if not drained.messages:
            return


def search(
    text: Annotated[str, typer.Argument(help="What to look for, in plain words.")],
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many chunks.")] = 5,
    kind: Annotated[list[str] | None, typer.Option(help="post, article or repository; repeat for several.")] = None,
    author: Annotated[str | None, typer.Option(help="Only this author's writing (full name).")] = None,
) -> None:
    """Show the chunks that answer best, and where they come from."""
    from rich.console import Console

    from llmtwin import vectors
    from llmtwin.documents import Kind, user_id
    from llmtwin.settings import get_settings

    known = [member.value for member in Kind]
    if unknown := [name for name in kind or [] if name not in known]:
        raise typer.BadParameter(f"{', '.join(unknown)}: a kind is one of {', '.join(known)}")
    hits = vectors.search(
        text,
        get_settings(),
        kinds=[Kind(name) for name in kind or known],
        author_id=str(user_id(author)) if author else None,
        limit=limit,
    )
    if not hits:
        typer.secho("nothing found: nothing is searchable yet; see `llmtwin status`", err=True)
        raise typer.Exit(1)
    Console().print(*(hit_panel(hit) for hit in hits), sep="\n")


def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Publish an event for every document that differs.")] = False,
) -> None:
    """Compare MongoDB and Qdrant, document by document and chunk by chunk; exit code 1 if they differ."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from llmtwin import vectors, warehouse
    from llmtwin.cdc import repair as publish_repairs
    from llmtwin.settings import get_settings

    settings = get_settings()
    console = Console()
    with warehouse.connect(settings) as client, vectors.connect(settings) as qdrant:
        database = warehouse.open_database(client, settings)
        with console.status("cleaning and chunking every document anew …"):
            agreements = vectors.compare(database, qdrant, settings)
        table = Table(box=None, pad_edge=False)
        for heading in ("kind", "documents", "chunks", "missing", "stale", "orphaned", "unreadable"):
            table.add_column(heading, justify="left" if heading == "kind" else "right")
        for found in agreements:
            counts = (found.documents, found.chunks, len(found.missing), len(found.stale), len(found.orphaned))
            table.add_row(found.kind, *map(str, counts), str(len(found.unreadable)))
        console.print(table)
        for found in agreements:
            for document_id, reason in found.unreadable.items():
                console.print(f"unreadable {found.kind} {document_id}: {escape(reason)}")
        if all(found.holds for found in agreements):
            console.print("MongoDB and Qdrant agree")
            return
        if repair:
            differing = {found.kind: found.missing | found.stale | found.orphaned for found in agreements}
            count = publish_repairs(client, database, settings, differing)
            console.print(f"published {count} events; the next micro-batches mend what differs")
            return
    sys.stderr.write("they differ; events may still be under way (`llmtwin status`), else run `verify --repair`\n")
    raise typer.Exit(1)


def crawl_table(results: dict[str, dict[str, Any]], heading: str = "link") -> RenderableType:
    """Return crawl results as a table, one row for each link or domain."""
    from rich.markup import escape
    from rich.table import Table

    from llmtwin.crawling import COUNTS

    table = Table(box=None, pad_edge=False)
    headings = (*COUNTS, "failed")
    table.add_column(heading, overflow="fold")
    for count in headings:
        table.add_column(count, justify="right")
    for name, result in results.items():
        numbers = [_count(result.get(count, 0)) for count in headings]
        table.add_row(escape(name), *map(str, numbers))
    return table


def sources_table(registered: Iterable[RegisteredSource]) -> RenderableType:
    """Return registered sources as a table, those that a link stands for below it."""
    from rich.markup import escape
    from rich.table import Table

    from llmtwin.crawling import COUNTS

    table = Table(box=None, pad_edge=False)
    for heading in ("link", "author", "named in", "last crawl", "documents"):
        table.add_column(heading, overflow="fold")
    registered = list(registered)
    links = {source.id: source.link for source in registered}
    for source in sorted(registered, key=lambda source: (links.get(source.listed_by or source.id, ""), source.link)):
        where = "sources.yaml" if source.declared else "list" if source.listed_by else "command or form"
        when = f"{source.last_crawled_at:%Y-%m-%d %H:%M} UTC" if source.last_crawled_at else "never"
        counts = ", ".join(f"{count} {name}" for name in COUNTS if (count := source.last_counts.get(name)))
        table.add_row(escape(source.link), escape(source.author_full_name), where, when, counts)
    return table


def hit_panel(hit: Hit) -> RenderableType:
    """Return a search hit as a panel: where from, and the text as written."""
    from rich.console import Group
    from rich.markup import escape
    from rich.panel import Panel
    from rich.text import Text

    text = Text(hit.content.strip())
    where = Text(f"{hit.author} · {hit.source}", style="cyan", overflow="fold")
    return Panel(
        Group(text, where), title=f"[bold]{escape(hit.title or hit.link)}[/] {hit.score:.3f}", title_align="left"
    )


def _count(value: Iterable[Any] | dict[str, int] | int) -> int:
    if isinstance(value, dict):
        return sum(value.values())
    return value if isinstance(value, int) else len(list(value))
