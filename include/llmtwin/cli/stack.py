"""``up``, ``down``, ``status``, ``logs`` and ``doctor``: the local stack."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from types import FrameType

    from rich.console import RenderableType

    from llmtwin.local.stack import LocalStack, State
    from llmtwin.settings import Settings

_COLORS = {"ready": "green", "done": "green", "external": "cyan", "starting": "yellow", "failed": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    for command in (up, down, status, logs, doctor):
        app.command()(command)


def up(
    with_llm: Annotated[
        bool, typer.Option("--with-llm", help="vLLM and the gateway too; installs vLLM the first time: 2.5 GB")
    ] = False,
) -> None:
    """Start the local stack and wait until it is ready. Ctrl-C stops what was started."""
    from rich.console import Console

    stack, settings = _stack(with_llm)
    console = Console()
    began = time.monotonic()
    signal.signal(signal.SIGTERM, _exit)  # as Ctrl-C: nothing may be left half started

    def show(name: str, state: State) -> None:
        if state != "starting":
            console.print(f"[{_COLORS[state]}]●[/] {name} {state} [dim]{time.monotonic() - began:.1f} s[/]")

    llm = ", vLLM, the gateway" if "gateway" in stack.names() else ""
    with console.status(f"starting MongoDB, RabbitMQ, Qdrant{llm}, CDC and Airflow …"):
        started = stack.up(show)
    console.print(f"ready after {time.monotonic() - began:.1f} s" if started else "already running")
    console.print(addresses(settings, with_llm=bool(llm)))


def down() -> None:
    """Stop the local stack; no process is left behind, all data stays."""
    from rich.console import Console

    stack, _settings = _stack()
    console = Console()
    with console.status("stopping …"):
        stopped = stack.down()
    console.print("stopped" if stopped else "not running")


def status() -> None:
    """Show every service; exit code 1 unless all are ready."""
    from rich.console import Console
    from rich.table import Table

    stack, settings = _stack()
    table = Table(box=None, pad_edge=False)
    for heading in ("service", "state", "pid", "up", "address"):
        table.add_column(heading, no_wrap=heading != "address", overflow="fold")
    statuses = stack.status()
    for service in statuses:
        state = f"[{_COLORS.get(service.state, 'dim')}]{service.state}[/]"
        uptime = _duration(service.uptime) if service.uptime is not None else ""
        table.add_row(service.name, state, str(service.pid or ""), uptime, service.url or "")
    console = Console()
    console.print(table)
    if any(service.state not in ("ready", "done", "external") for service in statuses):
        raise typer.Exit(1)
    console.print(addresses(settings, with_llm="gateway" in stack.names()))


def logs(
    service: Annotated[str | None, typer.Argument(help="one service; default: all")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until Ctrl-C")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="how many lines of each log")] = 20,
) -> None:
    """Show the end of the services' logs."""
    from llmtwin.local.logs import follow_logs, last_lines, log_files

    stack, _settings = _stack()
    files = log_files(stack, service)
    for name, file in files.items():
        for line in last_lines(file, lines):
            typer.echo(f"{name} | {line}" if len(files) > 1 else line)
    if follow:
        with contextlib.suppress(KeyboardInterrupt):
            for name, line in follow_logs(files):
                typer.echo(f"{name} | {line}" if len(files) > 1 else line)


def doctor() -> None:
    """Check Python, binaries, ports and every service, and say what to do; exit code 1 when something is wrong."""
    from rich.console import Console
    from rich.markup import escape

    from llmtwin.local.doctor import examine
    from llmtwin.settings import get_settings

    console = Console(soft_wrap=True)
    wrong = 0
    for finding in examine(get_settings()):
        mark = "[green]✓[/]" if finding.is_ok else "[red]✗[/]"
        console.print(f"{mark} {finding.subject}: {escape(finding.detail)}")
        if not finding.is_ok:
            wrong += 1
            console.print(f"  → {escape(finding.remedy)}")
    if wrong:
        raise typer.Exit(1)


def _stack(with_llm: bool = False) -> tuple[LocalStack, Settings]:
    from llmtwin.local.stack import LocalStack
    from llmtwin.settings import get_settings

    settings = get_settings()
    return LocalStack(settings, with_llm=with_llm), settings


def addresses(settings: Settings, with_llm: bool = False) -> RenderableType:
    """Return where to look, and with which password."""
    from rich.text import Text

    from llmtwin.local.airflow import USER, airflow_password, airflow_url

    gateway = f"http://127.0.0.1:{settings.gateway_port}"
    twin = f"twin     {gateway}  for OpenAI's clients: {gateway}/v1\n" if with_llm else ""
    return Text(
        f"{twin}"
        f"Airflow  {airflow_url(settings)}  user {USER}, password {airflow_password(settings)}\n"
        f"Qdrant   {settings.qdrant}\n"
        f"logs     {settings.data / 'supervisor' / 'logs'}"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _exit(signum: int, frame: FrameType | None) -> None:
    sys.exit(128 + signum)
