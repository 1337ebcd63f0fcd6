"""``traces``: what the twin was asked, what it answered, and what people thought of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llmtwin.traces import JudgedTrace

app = typer.Typer(help="Requests to the gateway, with their feedback.", no_args_is_help=True)

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_THUMBS = {"up": "👍", "down": "👎"}


def register(parent: typer.Typer) -> None:
    """Add the commands to ``parent``."""
    parent.add_typer(app, name="traces")


@app.command()
def ls(
    since: Annotated[
        str | None, typer.Option(help="30m, 12h, 7d, 2w ago, or a date and time like 2026-11-21T09:00.")
    ] = None,
    down: Annotated[bool, typer.Option("--down", help="Those that somebody found bad.")] = False,
    up: Annotated[bool, typer.Option("--up", help="Those that somebody found good.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
) -> None:
    """List traces, the newest first."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from llmtwin.settings import get_settings
    from llmtwin.traces import Thumbs, TraceStore

    if up and down:
        raise typer.BadParameter("choose --up or --down")
    thumbs = Thumbs.DOWN if down else Thumbs.UP if up else None
    store = TraceStore(get_settings())
    found = list(islice(store.newest_first(_moment(since) if since else None, thumbs), limit))
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "began", "model"):
        table.add_column(heading, no_wrap=heading == "id")
    for heading in ("status", "seconds", "tokens in", "out", "passages"):
        table.add_column(heading, justify="right")
    table.add_column("")
    table.add_column("question", overflow="ellipsis", no_wrap=True)
    for judged in found:
        trace = judged.trace
        table.add_row(
            trace.trace_id,
            f"{trace.started_at.astimezone():%m-%d %H:%M:%S}",
            escape(trace.served or trace.model),
            str(trace.status),
            f"{trace.seconds:.2f}",
            str(trace.usage.get("prompt_tokens", "")),
            str(trace.usage.get("completion_tokens", "")),
            str(len(trace.passages)),
            "".join(_THUMBS[one.thumbs] for one in judged.feedback),
            escape(" ".join((trace.question or "").split())),
        )
    Console().print(table if found else "no traces")


@app.command()
def show(trace_id: Annotated[str, typer.Argument(help="As `ls` shows it; the answer's x-llmtwin-trace-id.")]) -> None:
    """Print all that is kept of a request, as JSON."""
    import orjson

    from llmtwin.errors import TraceError
    from llmtwin.settings import get_settings
    from llmtwin.traces import TraceStore

    judged = TraceStore(get_settings()).find(trace_id.replace("-", ""))
    if judged is None:
        raise TraceError(f"there is no trace {trace_id} (any more): `llmtwin traces ls` shows those there are")
    typer.echo(orjson.dumps(_content(judged), option=orjson.OPT_INDENT_2).decode())


def _content(judged: JudgedTrace) -> dict[str, object]:
    feedback = [one.model_dump(mode="json", exclude={"trace_id"}) for one in judged.feedback]
    return judged.trace.model_dump(mode="json") | {"feedback": feedback}


def _moment(since: str) -> datetime:
    if ago := re.fullmatch(r"(\d{1,4})([mhdw])", since):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(since).astimezone()
    except ValueError as error:
        raise typer.BadParameter(f"{since}: write 30m, 12h, 7d, 2w, or a date like 2026-11-21") from error
