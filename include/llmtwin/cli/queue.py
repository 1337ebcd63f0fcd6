"""``cdc`` and ``dead-letters``: what goes onto the queue, and what could not be read off it."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

dead_letters = typer.Typer(help="Messages that could not be read.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(cdc)
    app.add_typer(dead_letters, name="dead-letters")


def cdc(
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="First copy every document, as after lost history or for a new model.")
    ] = False,
) -> None:
    """Stream changes of MongoDB into RabbitMQ until SIGTERM or Ctrl-C."""
    from llmtwin.cdc import CdcService
    from llmtwin.settings import get_settings

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    CdcService(get_settings(), stop).run(snapshot)


@dead_letters.command("list")
def list_letters(limit: Annotated[int, typer.Option(min=1, help="How many, oldest first.")] = 50) -> None:
    """Show dead letters with their reasons; they stay where they are."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from llmtwin import events
    from llmtwin.settings import get_settings

    with events.connect(get_settings().rabbitmq) as channel:
        letters = events.list_dead_letters(channel, limit)
        depth = events.queue_depth(channel, events.DEAD_QUEUE)
    table = Table(box=None, pad_edge=False)
    for heading in ("#", "routing key", "message id", "bytes", "reason"):
        table.add_column(heading, overflow="fold")
    for letter in letters:
        texts = map(escape, (letter.routing_key, letter.message_id or "", str(len(letter.body)), letter.reason))
        table.add_row(str(letter.number), *texts)
    console = Console()
    console.print(table if letters else "no dead letters")
    if depth > len(letters):
        console.print(f"{depth - len(letters)} more; see them with --limit {depth}")


@dead_letters.command()
def show(number: Annotated[int, typer.Argument(min=1, help="The number `list` shows.")]) -> None:
    """Print a dead letter's reason and body."""
    from llmtwin import events
    from llmtwin.settings import get_settings

    with events.connect(get_settings().rabbitmq) as channel:
        letters = events.list_dead_letters(channel, number)
    if len(letters) < number:
        raise typer.BadParameter(f"there are only {len(letters)} dead letters")
    letter = letters[-1]
    typer.echo(f"{letter.routing_key} {letter.message_id or ''}\n{letter.reason}\n", err=True)
    typer.echo(letter.body.decode(errors="backslashreplace"))


@dead_letters.command()
def requeue(
    number: Annotated[int | None, typer.Argument(min=1, help="The number `list` shows.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    reason: Annotated[str | None, typer.Option(help="Those whose reason contains this text.")] = None,
) -> None:
    """Send dead letters round again, once their cause is mended."""
    from llmtwin import events
    from llmtwin.settings import get_settings

    if sum((number is not None, everything, reason is not None)) != 1:
        raise typer.BadParameter("say which: a number, --reason TEXT, or --all")
    with events.connect(get_settings().rabbitmq) as channel:
        moved = events.requeue_dead_letters(
            channel,
            lambda letter: everything or letter.number == number or (reason is not None and reason in letter.reason),
        )
    typer.echo(f"{moved} requeued")
