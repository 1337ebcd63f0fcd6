"""``demo``: from links to an answer with its sources, in front of your eyes."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from llmtwin.local.demonstration import Progress
    from llmtwin.settings import Settings
    from llmtwin.vectors import Agreement

QUESTION = "How does the CDC service go on after it was killed?"
_TIMEOUT_SECONDS = 1800
_GRACE_SECONDS = 60


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(demo)


def demo(
    links: Annotated[list[str] | None, typer.Argument(help="Links or paths; none: this repository itself.")] = None,
    author: Annotated[str | None, typer.Option(help="Full name of who wrote what is behind the links.")] = None,
    question: Annotated[str | None, typer.Option(help="What to ask at the end.")] = None,
    llm: Annotated[bool, typer.Option("--llm/--no-llm", help="With the model that answers: vLLM takes 2.5 GB.")] = True,
) -> None:
    """Start everything, crawl, wait until it is searchable, ask, and show what happened."""
    from rich.console import Console
    from rich.markup import escape

    from llmtwin import sources, vectors
    from llmtwin.cli.ask import answer
    from llmtwin.cli.data import hit_panel
    from llmtwin.cli.stack import addresses
    from llmtwin.settings import get_settings

    began = time.monotonic()
    console = Console()
    settings = get_settings()
    if links and not author:
        raise typer.BadParameter('say who wrote it: make demo AUTHOR="Full Name" LINKS="…"')
    given = [sources.registered_link(link) for link in links or [str(settings.home)]]
    author = author or author_of(settings)
    settings = allowing_local(settings, given)

    console.rule("[bold]1 · the stack")
    start(console, settings, llm)
    up_seconds = time.monotonic() - began

    console.rule("[bold]2 · crawl, change stream, micro-batches")
    since = datetime.now(UTC)
    state, progress, agreements, summary = crawl(console, settings, author, given)
    console.print(_report(settings, summary, progress, since))
    agree = all(found.holds for found in agreements)
    chunks = sum(found.chunks for found in agreements)
    verdict = "[green]agree" if agree else "[red]differ: run `llmtwin verify`"
    console.print(
        f"MongoDB and Qdrant {verdict}[/] on {sum(a.documents for a in agreements)} documents, {chunks} chunks"
    )

    console.rule("[bold]3 · a question")
    question = question or (QUESTION if not links else f"What does {author} write about?")
    console.print(f"[bold]{escape(question)}[/]")
    hits = vectors.search(question, settings, limit=5)
    # In this repository the file that asks the question is its best match.
    console.print(*[hit_panel(hit) for hit in hits if hit.path != "include/llmtwin/cli/demo.py"][:3], sep="\n")

    if llm:
        console.rule("[bold]4 · the twin answers")
        console.print(f"[bold]{escape(question)}[/]")
        answer(console, settings, question)

    console.rule(f"[bold]{5 if llm else 4} · look around")
    console.print(addresses(settings, with_llm=llm))
    command = "ask" if llm else "search"
    console.print(f'ask:     .venv/bin/llmtwin {command} "your question"\nstop:    make down')
    set_up = float(os.environ.get("LLMTWIN_SETUP_SECONDS", 0))
    total = time.monotonic() - began
    console.print(f"\nset-up {set_up:.0f} s, stack {up_seconds:.0f} s, data {total - up_seconds:.0f} s")
    if state != "success" or not agree:
        raise typer.Exit(1)


def allowing_local(settings: Settings, links: list[str]) -> Settings:
    """Return settings that allow these links, paths of this machine among them.

    Whoever runs this may read these paths anyway, and the stack listens on loopback only.
    """
    from llmtwin.settings import get_settings

    if not any(link.startswith("file:") for link in links) or settings.crawl_allow_local:
        return settings
    os.environ["LLMTWIN_CRAWL_ALLOW_LOCAL"] = "true"
    get_settings.cache_clear()
    return get_settings()


def start(console: Console, settings: Settings, llm: bool) -> None:
    """Start the stack and say when it is ready."""
    from llmtwin.local.stack import LocalStack

    began = time.monotonic()
    stack = LocalStack(settings, with_llm=llm)
    names = "MongoDB, RabbitMQ, Qdrant, CDC, Airflow" + (", vLLM and the gateway" if llm else "")
    with console.status(f"starting {names} …"):
        if stack.has_other_settings():
            console.print("restarting: the stack was running with other settings or services")
            stack.down()
        started = stack.up(lambda name, state: console.print(f"  {name} {state}"))
    console.print(f"ready after {time.monotonic() - began:.1f} s" if started else "was running already")


def crawl(
    console: Console, settings: Settings, author: str, links: list[str]
) -> tuple[str, Progress, list[Agreement], list[dict[str, Any]]]:
    """Crawl links and wait until all of it is searchable.

    Returns:
        How the crawl ended, where the data is, whether both stores agree, and the crawl's summary.
    """
    from llmtwin import vectors, warehouse
    from llmtwin.local.airflow_api import AirflowApi

    since = datetime.now(UTC)
    api = AirflowApi(settings)
    run_id = api.trigger("crawl_sources", {"author": author, "links": links})
    with warehouse.connect(settings) as mongo, vectors.connect(settings) as qdrant:
        database = warehouse.open_database(mongo, settings)
        state, progress, agreements = _watch(console, settings, api, run_id, (database, qdrant), since)
        return state, progress, agreements, api.xcom("crawl_sources", run_id, "summarize", "summary")


def _watch(
    console: Console, settings: Settings, api: Any, run_id: str, stores: tuple[Any, Any], since: datetime
) -> tuple[str, Progress, list[Agreement]]:
    """Show where the data is until it has all arrived; return how the crawl ended and whether both stores agree."""
    from rich.live import Live

    from llmtwin import vectors
    from llmtwin.errors import LocalStackError
    from llmtwin.local.airflow import airflow_url
    from llmtwin.local.demonstration import look

    at = f"{airflow_url(settings)}/dags/sync_features"
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    settled_at: float | None = None
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            state = api.run_state("crawl_sources", run_id)
            progress = look(*stores, settings, since)
            live.update(_progress_table(state, progress, time.monotonic() - deadline + _TIMEOUT_SECONDS))
            if state in ("success", "failed") and progress.is_settled:
                # An event takes a moment from MongoDB into the queue, where neither side counts it: only an exact
                # comparison tells whether all arrived.
                settled_at = settled_at or time.monotonic()
                agreements = vectors.compare(*stores, settings)
                if all(found.holds for found in agreements) or time.monotonic() - settled_at > _GRACE_SECONDS:
                    return state, progress, agreements
            else:
                settled_at = None
            if api.newest_states("sync_features", 3) == ["failed"] * 3 and progress.batches:
                raise LocalStackError(
                    f"sync_features failed three times running: its tasks' logs in the UI say why\n{at}"
                )
            if time.monotonic() > deadline:
                raise LocalStackError("the data did not arrive within 30 minutes: see `llmtwin status` and the UI")
            time.sleep(1)


def _progress_table(state: str, progress: Progress, seconds: float) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("crawl", state, f"{seconds:.0f} s")
    table.add_row("MongoDB", f"{sum(progress.documents.values())} documents")
    table.add_row("RabbitMQ", f"{progress.waiting} events wait")
    for batch in progress.batches[-5:]:
        stage = "done" if batch.is_complete else "embedding" if batch.chunks else "cleaning"
        table.add_row("batch", f"{batch.documents} documents → {batch.chunks} chunks", stage)
    table.add_row("Qdrant", ", ".join(f"{count} {alias}" for alias, count in progress.points.items()) or "empty")
    return table


def _report(settings: Settings, summary: list[dict[str, Any]], progress: Progress, since: datetime) -> RenderableType:
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    from llmtwin.crawling import COUNTS
    from llmtwin.local.demonstration import percentiles, seconds_to_searchable

    crawled = Table(title="documents crawled per source", title_justify="left")
    crawled.add_column("source")
    for heading in (*COUNTS, "failed"):
        crawled.add_column(heading, justify="right")
    for row in summary:
        crawled.add_row(escape(row["domain"]), *(str(row[name]) for name in COUNTS), str(len(row["failed"])))
    batches = Table(title="micro-batches", title_justify="left")
    for heading in ("batch", "events", "documents", "chunks", "embedded", "bad", "seconds"):
        batches.add_column(heading, justify="left" if heading == "batch" else "right", no_wrap=True)
    for batch in progress.batches:
        counts = (batch.events, batch.documents, batch.chunks, batch.embedded, batch.quarantined)
        batches.add_row(batch.id[:15], *map(str, counts), f"{batch.seconds:.1f}")
    points = Table(title="points in Qdrant", title_justify="left")
    points.add_column("collection")
    points.add_column("points", justify="right")
    for alias, count in progress.points.items():
        points.add_row(alias, str(count))
    parts: list[RenderableType] = [crawled, batches, points]
    parts += [f"[red]failed: {escape(reason)}[/]" for row in summary for reason in row["failed"]]
    delays = seconds_to_searchable(settings, since)
    if delays:
        median, late = percentiles(delays)
        parts.append(f"MongoDB write → searchable: median {median:.0f} s, 95 % within {late:.0f} s")
    else:
        parts.append("nothing changed since the last crawl, so there was nothing to do")
    return Group(*parts)


def author_of(settings: Settings) -> str:
    """Return who wrote this repository's newest commit."""
    command = ["git", "-C", str(settings.home), "log", "-1", "--format=%an"]
    name = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return name or "llmtwin"
