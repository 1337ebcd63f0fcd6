"""``evaluate`` and ``compare``: how good a version is, and runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from llmtwin.evaluation import Evaluation
    from llmtwin.evaluation.comparison import Comparison


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(evaluate)
    app.command()(compare)


def evaluate(
    version: Annotated[str | None, typer.Argument(help="As `llmtwin versions` lists it; the newest candidate.")] = None,
    dataset: Annotated[str | None, typer.Option(help="NAME or NAME@VERSION; default: what it was trained on.")] = None,
    control: Annotated[str | None, typer.Option(help="A twin of another author; default: the newest.")] = None,
    texts: Annotated[int | None, typer.Option(min=1, help="Of the author's, scored for perplexity.")] = None,
    answers: Annotated[int | None, typer.Option(min=1, help="Prompts that each model answers.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of choosing and resampling.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Ask everything anew.")] = False,
) -> None:
    """Measure a version on documents it has not seen, beside base, production and another author's twin."""
    from rich.console import Console

    from llmtwin.evaluation import Options, folder_of
    from llmtwin.evaluation import evaluate as measure
    from llmtwin.evaluation.result import REPORT
    from llmtwin.promotion import choose
    from llmtwin.settings import get_settings

    settings = get_settings()
    # Whichever is named may be measured, a rejected one too.
    version = version or choose(None, settings).version
    given = {"texts": texts, "answers": answers}
    options = Options(seed=seed, **{name: value for name, value in given.items() if value is not None})
    console = Console()
    with console.status(f"asking the models about version {version}: minutes on a CPU"):
        found = measure(settings, version, dataset=dataset, control=control, options=options, again=again)
    console.print(_figures(found))
    for note in found.notes:
        console.print(f"note: {note}", markup=False, style="yellow")
    for name, why in found.not_measured.items():
        console.print(f"{name.rstrip('/')} was not measured: {why}", markup=False, style="dim")
    console.print(f"report: {folder_of(settings, version) / REPORT}", markup=False, soft_wrap=True)


def compare(
    runs: Annotated[list[str], typer.Argument(help="Keys, their beginnings, names, or archives (.zip); two or more.")],
    html: Annotated[Path | None, typer.Option(help="Write a page with the curves there, too.")] = None,
) -> None:
    """Put trainings or evaluations beside each other, from Comet or from archives of this machine."""
    from rich.console import Console

    from llmtwin.evaluation.comparison import compare as read
    from llmtwin.evaluation.comparison import render_comparison
    from llmtwin.files import durable
    from llmtwin.settings import get_settings

    found = read(get_settings(), runs)
    console = Console()
    console.print(_side_by_side(found))
    if html:
        with durable(html.absolute()) as file:
            file.write(render_comparison(found).encode())
        console.print(f"page: {html}", markup=False, soft_wrap=True)


def _figures(evaluation: Evaluation) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from llmtwin.evaluation.report import between, figure

    roles = [card.role for card in evaluation.models]
    title = f"twin@{evaluation.version} as {evaluation.author}, on {evaluation.dataset}"
    table = Table(box=None, pad_edge=False, title=escape(title), title_justify="left", title_style="bold")
    table.add_column("")
    for card in evaluation.models:
        table.add_column(f"{card.role}\n[dim]{escape(card.name)}[/dim]", justify="right")
    table.add_column("author", justify="right")
    names = dict.fromkeys(name.partition("/")[2] for name in evaluation.estimates if name.startswith("candidate/"))
    for name in names:
        row = [evaluation.estimates.get(f"{who}/{name}") for who in (*roles, "author")]
        table.add_row(name, *("–" if one is None else f"{figure(one.value)} [dim]{between(one)}[/dim]" for one in row))
    for name, found in evaluation.estimates.items():
        if "/" not in name:
            table.add_row(f"[bold]{name}[/bold]", f"[bold]{figure(found.value)}[/bold] [dim]{between(found)}[/dim]")
    return table


def _side_by_side(comparison: Comparison) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from llmtwin.evaluation.report import figure

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for run in comparison.experiments:
        table.add_column(f"{escape(run.name)}\n[dim]{run.key[:9]}[/dim]", justify="right", overflow="fold")
    for parameter, values in comparison.parameters.items():
        table.add_row(f"[dim]{escape(parameter)}[/dim]", *(escape(value or "–") for value in values))
    if comparison.parameters and comparison.metrics:
        table.add_section()
    for metric, numbers in comparison.metrics.items():
        table.add_row(escape(metric), *("–" if value is None else figure(value) for value in numbers))
    return table
