"""``train``, ``runs``: a recipe and a dataset become a candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, RenderableType

    from llmtwin.settings import Settings
    from llmtwin.training import Run


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    for command in (train, runs):
        app.command()(command)


def train(
    recipe: Annotated[str, typer.Option(help="Name of a recipe that comes with llmtwin, or a YAML file.")] = "smoke",
    dataset: Annotated[str | None, typer.Option(help="NAME or NAME@VERSION; default: the recipe's.")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="KNOB=VALUE instead of the recipe's.")] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this run.")] = None,
    to_registry: Annotated[bool, typer.Option("--register/--no-register", help="As a candidate.")] = True,
) -> None:
    """Train an adapter here and now, and put it into the registry as a candidate.

    Stop it whenever you like: `--resume` goes on from the last checkpoint.
    """
    from rich.console import Console

    from llmtwin import training
    from llmtwin.settings import get_settings

    settings = get_settings()
    console = Console()
    if resume:
        run = training.open_run(settings, resume)
    else:
        chosen = training.read_recipe(recipe, dict(_change(change) for change in changes or []))
        run = training.new_run(chosen, settings, dataset=dataset)
    console.print(f"run {run.run_id}: {run.base_model} learns {run.dataset}", highlight=False, soft_wrap=True)
    run = train_visibly(run, settings, console)
    console.print(outcome(run), highlight=False)
    if to_registry:
        version = training.register(run, settings)
        console.print(f"version {version.version} is a {version.status}", highlight=False)


def runs(limit: Annotated[int, typer.Option("--last", min=1, help="How many.")] = 20) -> None:
    """List training runs, the newest last."""
    from rich.console import Console
    from rich.table import Table

    from llmtwin import training
    from llmtwin.settings import get_settings

    settings = get_settings()
    found = training.runs(settings)[-limit:]
    if not found:
        typer.secho("there is no run yet: `llmtwin train` starts one", err=True)
        raise typer.Exit(1)
    now = training.training_now(settings)
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "state", "dataset", "steps", "loss", "validation", "minutes", "version"):
        # Airflow's names of runs are long; what there is no room for is folded, and never a state or a figure.
        is_name = heading in {"run", "dataset"}
        is_text = is_name or heading == "state"
        table.add_column(heading, overflow="fold", no_wrap=not is_name, justify="left" if is_text else "right")
    for run in found:
        table.add_row(*_row(run, now))
    Console().print(table)
    for run in found:
        if run.error:
            typer.secho(f"{run.run_id} failed: {run.error}", fg=typer.colors.RED, err=True)


def train_visibly(run: Run, settings: Settings, console: Console) -> Run:
    """Begin a run or go on with it, with its progress in the terminal; return it finished."""
    from llmtwin import training

    with console.status("loading the base model …") as status, _progress(console) as show:

        def watch(line: dict[str, Any]) -> None:
            status.stop()
            show(line)

        return training.resume(run, settings, watch)


def outcome(run: Run) -> RenderableType:
    """Return a finished run's figures in a line or two."""
    from rich.text import Text

    figures = run.metrics
    said = [f"{figures['steps']:.0f} steps in {figures['seconds'] / 60:.1f} minutes"]
    if "loss" in figures:
        said.append(f"loss {figures['loss']:.3f}")
    if "eval_perplexity" in figures:
        before, after = figures["eval_perplexity_before"], figures["eval_perplexity"]
        said.append(f"validation perplexity {before:.1f} → {after:.1f} ({after / before:.2f})")
    return Text(", ".join(said))


def _progress(console: Console) -> Any:
    """Return a context manager that yields what shows a line of the journal."""
    from contextlib import contextmanager

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def opened() -> Iterator[Callable[[dict[str, Any]], None]]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            tasks: dict[str, Any] = {}
            known: dict[str, dict[str, Any]] = {}

            def show(line: dict[str, Any]) -> None:
                stage = line["stage"]
                if stage not in tasks:
                    tasks[stage] = progress.add_task(stage, total=line["of"], figures="")
                before = known.get(stage)
                progress.update(tasks[stage], completed=line["step"], figures=_figures(line, before))
                known[stage] = line

            yield show

    return opened()


def _figures(line: dict[str, Any], before: dict[str, Any] | None) -> str:
    said = [f"{name} {line[key]:.3f}" for key, name in (("loss", "loss"), ("eval_loss", "validation")) if key in line]
    if before and (seconds := line["seconds"] - before["seconds"]) > 0 and line["tokens"] > before["tokens"]:
        said.append(f"{(line['tokens'] - before['tokens']) / seconds:.0f} tokens/s")
    return "  ".join(said)


def _row(run: Run, training_now: str | None) -> list[str]:
    from llmtwin.training import Status

    interrupted = run.status is Status.RUNNING and run.run_id != training_now
    lines = run.journal.lines()
    figures = run.metrics or {name: value for line in lines for name, value in line.items()}
    steps = figures.get("steps", figures.get("step"))
    return [
        run.run_id,
        "interrupted" if interrupted else run.status,
        run.dataset,
        "" if steps is None else f"{steps:.0f}",
        _rounded(figures.get("loss"), 3),
        _rounded(figures.get("eval_loss"), 3),
        _rounded(figures["seconds"] / 60 if "seconds" in figures else None, 1),
        run.version or "",
    ]


def _rounded(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _change(given: str) -> tuple[str, Any]:
    import yaml

    knob, is_given, value = given.partition("=")
    if not is_given:
        raise typer.BadParameter(f"{given!r}: give KNOB=VALUE, say max_steps=20")
    try:
        return knob.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"{given!r}: {value!r} is no YAML value") from error
