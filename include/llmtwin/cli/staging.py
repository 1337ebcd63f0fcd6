"""``staging``: dbt's verbs on stored micro-batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llmtwin.staging import Batch, Model, Project

app = typer.Typer(help="Models, tests and artifacts of micro-batches, in dbt's words.", no_args_is_help=True)

Select = Annotated[str | None, typer.Option("--select", "-s", help="dbt's syntax: name, layer, +name, name+.")]
BatchId = Annotated[str, typer.Option("--batch", "-b", help="A batch's id, or `latest`.")]


def register(parent: typer.Typer) -> None:
    """Add the commands to ``parent``."""
    parent.add_typer(app, name="staging")


@app.command()
def ls(
    select: Select = None, batches: Annotated[bool, typer.Option("--batches", help="List batches.")] = False
) -> None:
    """List models in build order, or stored batches."""
    from rich.console import Console
    from rich.table import Table

    from llmtwin import staging
    from llmtwin.settings import get_settings

    if not batches:
        for model in staging.load_project().select(select):
            typer.echo(f"{model.layer}.{model.name}  ←  {', '.join(model.inputs)}")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("batch", "state", "tables"):
        table.add_column(heading)
    for batch in staging.batches(get_settings().batches):
        tables = [name for name in staging.load_project().nodes if batch.has(name)]
        table.add_row(batch.id, "done" if batch.is_complete else "unfinished", ", ".join(tables))
    Console().print(table)


@app.command()
def build(select: Select = None, batch: BatchId = "latest") -> None:
    """Build models of a batch from its stored tables and test them. Writes files only, nothing to Qdrant."""
    from llmtwin import staging
    from llmtwin.settings import get_settings

    settings = get_settings()
    project, stored, models = _chosen(select, batch)
    for model in models:
        result = staging.build(project, stored, model.name, staging.Context(settings))
        rows_in = ", ".join(f"{count} {name}" for name, count in result.rows_in.items())
        typer.echo(
            f"{model.name}: {rows_in} → {result.rows_out} rows, {result.quarantined} quarantined, "
            f"{len(result.tests)} tests passed, {result.execution_time:.2f} s"
        )


@app.command()
def test(select: Select = None, batch: BatchId = "latest") -> None:
    """Run the table tests of a batch as it is stored; exit code 1 if one fails."""
    from llmtwin import staging

    project, stored, models = _chosen(select, batch)
    failed = 0
    for model in models:
        for result in staging.run_tests(project, stored, model.name):
            color = typer.colors.GREEN if result.status == "pass" else typer.colors.RED
            typer.secho(f"{result.status} {result.name}", fg=color, nl=not result.failures)
            if result.failures:
                failed += 1
                typer.echo(f": {result.failures} rows\n  {result.sql}")
    if failed:
        raise typer.Exit(1)


@app.command()
def quarantine(batch: BatchId = "latest") -> None:
    """Show the rows of a batch that broke a contract, with reasons."""
    _, stored, models = _chosen(None, batch)
    shown = 0
    for model in models:
        name = f"{model.name}.quarantine"
        if not stored.has(name):
            continue
        for row in stored.read(name).to_pylist():
            shown += 1
            typer.echo(f"{model.name} {row['document_id']}: {row['reason']}")
    if not shown:
        typer.echo(f"no row of batch {stored.id} is in quarantine")


@app.command()
def docs() -> None:
    """Write `manifest.json` and a page that shows the graph, columns and tests; print where."""
    from llmtwin.settings import get_settings
    from llmtwin.staging import load_project
    from llmtwin.staging.docs import write_docs

    typer.echo(str(write_docs(load_project(), get_settings().data / "staging-docs")))


def _chosen(select: str | None, batch: str) -> tuple[Project, Batch, list[Model]]:
    from llmtwin import staging
    from llmtwin.settings import get_settings

    project = staging.load_project()
    return project, staging.open_batch(get_settings().batches, batch), project.select(select)
