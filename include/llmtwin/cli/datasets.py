"""``datasets``: what a twin learns from, built of an author's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from llmtwin.datasets import Dataset

app = typer.Typer(help="Datasets for training, by author and version.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the commands to ``parent``."""
    parent.add_typer(app, name="datasets")


@app.command()
def build(
    author: Annotated[str, typer.Argument(help="Full name, or `everybody`.")],
    seed: Annotated[int | None, typer.Option(min=0, help="Of all that is drawn by lot.")] = None,
    teacher: Annotated[bool, typer.Option("--teacher/--no-teacher", help="Ask the teacher of the settings.")] = True,
    rag_share: Annotated[float | None, typer.Option(min=0, max=1, help="Once more with passages, at most.")] = None,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Log it to Comet or an archive.")] = True,
) -> None:
    """Build a dataset from the feature store; the same documents and options give the same version."""
    from rich.console import Console

    from llmtwin import datasets
    from llmtwin.settings import get_settings

    settings = get_settings()
    options = datasets.Options.of(settings, {"seed": seed, "teacher": teacher, "rag_share": rag_share})
    dataset = datasets.build(settings, author, options)
    if track:
        datasets.record(settings, dataset)
    _print(Console(), dataset)


@app.command()
def ls() -> None:
    """List datasets with all their versions, each author's newest last."""
    from rich.console import Console

    from llmtwin import datasets
    from llmtwin.settings import get_settings

    rows = []
    for dataset in datasets.datasets(get_settings()):
        figures = datasets.summary(dataset)
        built = f"{dataset.built_at.astimezone():%Y-%m-%d %H:%M}" if dataset.built_at else ""
        sizes = (figures[name] for name in ("train", "validation", "test", "preferences"))
        rows.append((dataset.reference, built, *sizes, figures["teacher"] or "", f"{figures['teacher_cost']:.4f}"))
    headings = ("dataset", "built", "train", "validation", "test", "preferences", "teacher", "cost")
    Console().print(_table(headings, rows) if rows else "no datasets yet: `llmtwin datasets build AUTHOR`")


@app.command()
def show(reference: Annotated[str, typer.Argument(help="NAME for the newest, or NAME@VERSION.")]) -> None:
    """Show what a dataset holds, what was removed and why, and a row of each type."""
    from rich.console import Console

    from llmtwin import datasets
    from llmtwin.settings import get_settings

    dataset = datasets.open_dataset(get_settings(), reference)
    console = Console()
    _print(console, dataset)
    seen = set()
    for row in dataset.rows("train"):
        if row["type"] not in seen:
            seen.add(row["type"])
            console.rule(f"{row['type']} · {row['link']}", align="left")
            console.print(f"{row['prompt'][-1]['content']}\n", style="cyan", markup=False, highlight=False)
            console.print(row["completion"][0]["content"], markup=False, highlight=False)


def _print(console: Any, dataset: Dataset) -> None:
    manifest = dataset.manifest
    console.print(f"{dataset.reference}  {dataset.folder}", markup=False, soft_wrap=True)
    rows = [
        (config, split, type_, count)
        for config, splits in manifest["counts"].items()
        for split, types in splits.items()
        for type_, count in types.items()
    ]
    console.print(_table(("configuration", "split", "type", "rows"), rows))
    removed = [(what, reason, count) for what, by in manifest["removed"].items() for reason, count in by.items()]
    if removed:
        console.print(_table(("removed", "because", "how many"), removed))
    if teacher := manifest["teacher"]:
        figures = (teacher["model"], teacher["requests"], teacher["prompt_tokens"], teacher["completion_tokens"])
        console.print(
            _table(("teacher", "requests", "tokens read", "written", "cost"), [(*figures, f"{teacher['cost']:.4f}")])
        )


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    rows = list(rows)
    for column, heading in enumerate(headings):
        is_number = all(isinstance(row[column], int | float) for row in rows)
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    return table
