"""``twin``: from an author's texts to a model in their voice, through all three DAGs and a human's approval."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from llmtwin.local.airflow_api import AirflowApi
    from llmtwin.settings import Settings

DATASETS, TRAIN, PROMOTE = "build_datasets", "train_twin", "promote_twin"
QUESTION = "What have you learned the hard way?"
_ENDED = ("success", "failed")
_TIMEOUT_SECONDS = 6 * 3600
# An asset's event becomes a run within a few of the scheduler's loops.
_TRIGGERED_SECONDS = 120


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(twin)


def twin(
    links: Annotated[
        list[str] | None, typer.Argument(help="Links or paths to crawl first; none: what was crawled before.")
    ] = None,
    author: Annotated[str | None, typer.Option(help="Full name of whose voice it is to be.")] = None,
    recipe: Annotated[str, typer.Option(help="How to train: a recipe's name or file.")] = "smoke",
    question: Annotated[str | None, typer.Option(help="What to ask the twin at the end.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Approve what the gate lets pass, without asking.")] = False,
) -> None:
    """Build a dataset, train, evaluate, approve, serve; then compare the twin with its base model and ask it."""
    from rich.console import Console
    from rich.markup import escape

    from llmtwin import promotion, sources
    from llmtwin.cli import demo
    from llmtwin.cli.ask import answer
    from llmtwin.evaluation.result import read_evaluation
    from llmtwin.local.airflow_api import AirflowApi
    from llmtwin.settings import get_settings

    console, settings, began = Console(), get_settings(), time.monotonic()
    if links and not author:
        raise typer.BadParameter('say who wrote it: make twin AUTHOR="Full Name" LINKS="…"')
    given = [sources.registered_link(link) for link in links or []]

    console.rule("[bold]1 · the stack")
    settings = demo.allowing_local(settings, given or [settings.home.as_uri()])
    demo.start(console, settings, llm=True)
    api = AirflowApi(settings)

    console.rule("[bold]2 · what there is to learn from")
    author = _author(console, settings, author, given)
    dataset = build(console, settings, api, author)

    console.rule("[bold]3 · training")
    version = train(console, settings, api, dataset, recipe)

    console.rule("[bold]4 · evaluation, gate, approval")
    served = promote(console, settings, api, version, yes)
    evaluation = read_evaluation(settings, version)
    models, rows = promotion.figures(evaluation)
    console.print(_table(f"twin@{version} on documents that it has never seen", ["", *models], rows))
    if not served:
        raise typer.Exit(1)

    console.rule("[bold]5 · the twin answers")
    # Those who write this repository have told no stories in it.
    question = question or (demo.QUESTION if author == demo.author_of(settings) else QUESTION)
    console.print(f"[bold]{escape(question)}[/]")
    answer(console, settings, question)
    console.print('\nask on:  .venv/bin/llmtwin ask "your question"\nback:    .venv/bin/llmtwin rollback')
    console.print(f"\n{(time.monotonic() - began) / 60:.1f} minutes")


def build(console: Console, settings: Settings, api: AirflowApi, author: str) -> str:
    """Build an author's dataset; return its reference.

    Raises:
        LocalStackError: It cannot be built; names the task whose log says why.
    """
    run_id = api.trigger(DATASETS, {"author": author})
    _follow(console, settings, api, _Run(DATASETS, run_id))
    summary = dict(api.xcom(DATASETS, run_id, "build", "return_value", map_index=0))
    console.print(
        _table("dataset", ["what", "value"], [[name, str(value)] for name, value in summary.items() if value])
    )
    return str(summary["dataset"])


def train(console: Console, settings: Settings, api: AirflowApi, dataset: str, recipe: str) -> str:
    """Train on a dataset; return the candidate's version.

    Raises:
        LocalStackError: It cannot be trained; names the task whose log says why.
    """
    run_id = api.trigger(TRAIN, {"dataset": dataset, "recipe": recipe})
    _follow(console, settings, api, _Run(TRAIN, run_id), lambda: _steps(settings, api, run_id))
    version = str(api.xcom(TRAIN, run_id, "register", "return_value"))
    console.print(f"version {version} is a candidate")
    return version


def promote(console: Console, settings: Settings, api: AirflowApi, version: str, yes: bool) -> bool:
    """See a candidate through the promotion that its registration has triggered; tell whether it is served.

    Raises:
        LocalStackError: The run fails; names the task whose log says why.
    """
    from llmtwin import promotion
    from llmtwin.cli.registry import decision_panel
    from llmtwin.local.airflow import airflow_url
    from llmtwin.registry import Registry, Status

    run = _Run(PROMOTE, _run_about(console, api, version))

    def asked() -> bool:
        return api.question(PROMOTE, run.run_id, "approve") is not None

    _follow(console, settings, api, run, until=asked)
    console.print(decision_panel(promotion.prepare_decision(version, settings)))
    if api.run_state(PROMOTE, run.run_id) not in _ENDED:
        url = airflow_url(settings)
        console.print(f"report: {url}/llmtwin/evaluations/{version}/report.html")
        option = _decision(version, yes)
        if option is None:
            console.print(f"waiting for a decision under Required Actions: {run.url(url)}")
        reason = typer.prompt("Why not?", default="") if option == "Reject" else ""
        # On a slow machine Airflow may ask once more, see `AirflowApi.question`.
        while option is not None and asked():
            if not api.answer(PROMOTE, run.run_id, "approve", option, reason=reason):
                console.print("somebody has decided in the meantime", style="yellow")
            _follow(console, settings, api, run, until=asked)
        if api.run_state(PROMOTE, run.run_id) not in _ENDED:
            _follow(console, settings, api, run)
    found = Registry(settings.registry).get(version)
    if found.status is not Status.PRODUCTION:
        console.print(f"version {version} is {found.status}: {found.reason}", style="red", markup=False)
    return found.status is Status.PRODUCTION


@dataclass(frozen=True)
class _Run:
    dag_id: str
    run_id: str

    def url(self, airflow: str) -> str:
        return f"{airflow}/dags/{self.dag_id}/runs/{self.run_id}"


def _author(console: Console, settings: Settings, author: str | None, given: list[str]) -> str:
    """Return whose twin it is to be, after crawling what was given, or this repository where nothing is there yet."""
    from llmtwin import datasets
    from llmtwin.cli import demo
    from llmtwin.datasets.source import content_hashes
    from llmtwin.errors import LocalStackError

    known = {} if given else datasets.authors(settings)
    if not known:
        author = author or demo.author_of(settings)
        console.print(f"crawling {', '.join(given) or 'this repository'}", markup=False)
        state, _progress, agreements, _summary = demo.crawl(
            console, settings, author, given or [settings.home.as_uri()]
        )
        if state != "success" or not all(found.holds for found in agreements):
            raise LocalStackError(f"the crawl ended as {state}: its tasks' logs in the UI say why")
        return author
    counts = content_hashes(settings)
    most = max(known, key=lambda one: len(counts.get(one, {})))
    author = author or settings.twin_author or known[most]
    console.print(f"{author} has {sum(map(len, counts.values()))} documents here", markup=False)
    return author


def _run_about(console: Console, api: AirflowApi, version: str) -> str:
    """Return the run of promote_twin that is about this version; the asset's event starts it, else we do."""
    deadline, told = time.monotonic() + _TRIGGERED_SECONDS, set[str]()
    with console.status("waiting for promote_twin …"):
        while time.monotonic() < deadline:
            for run_id in api.unfinished(PROMOTE):
                states = api.task_states(PROMOTE, run_id)
                if states.get("choose") == "success":
                    if api.xcom(PROMOTE, run_id, "choose", "return_value") == version:
                        return run_id
                    if states.get("approve") == "awaiting_input" and run_id not in told:
                        told.add(run_id)
                        console.print(f"another version waits for a decision first, in run {run_id}", style="yellow")
                        deadline = time.monotonic() + _TIMEOUT_SECONDS
            time.sleep(1)
    return api.trigger(PROMOTE, {"version": version})


def _follow(
    console: Console,
    settings: Settings,
    api: AirflowApi,
    run: _Run,
    describe: Callable[[], str] = lambda: "",
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Show a run's tasks until it has ended, or until something else is so.

    Raises:
        LocalStackError: It failed, or takes too long.
    """
    from rich.live import Live

    from llmtwin.errors import LocalStackError
    from llmtwin.local.airflow import airflow_url

    began = time.monotonic()
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            state, tasks = api.run_state(run.dag_id, run.run_id), api.task_states(run.dag_id, run.run_id)
            seconds = time.monotonic() - began
            live.update(_progress(run, state, tasks, describe(), seconds))
            if state in _ENDED or until():
                break
            if seconds > _TIMEOUT_SECONDS:
                raise LocalStackError(f"{run.dag_id} has not ended: see {run.url(airflow_url(settings))}")
            time.sleep(1)
    if state == "failed":
        failed = ", ".join(task for task, ended in tasks.items() if ended == "failed") or "the run"
        raise LocalStackError(f"{run.dag_id}: {failed} failed, its log says why: {run.url(airflow_url(settings))}")
    console.print(f"{run.dag_id} {state if state in _ENDED else 'waits for a human'} [dim]{seconds:.0f} s[/]")


def _steps(settings: Settings, api: AirflowApi, run_id: str) -> str:
    """Return how far a training is, once it has begun."""
    from llmtwin import training

    if api.task_states(TRAIN, run_id).get("prepare") != "success":
        return ""
    run = training.open_run(settings, str(api.xcom(TRAIN, run_id, "prepare", "return_value")))
    lines = [line for line in run.journal.lines() if "loss" in line]
    return f"step {lines[-1]['step']} of {lines[-1]['of']}, loss {lines[-1]['loss']:.3f}" if lines else ""


def _decision(version: str, yes: bool) -> str | None:
    """Return what the human at this terminal says; None where there is none."""
    if yes:
        return "Approve"
    if not sys.stdin.isatty():
        return None
    return "Approve" if typer.confirm(f"Serve version {version} as twin?") else "Reject"


def _progress(run: _Run, state: str, tasks: dict[str, str], detail: str, seconds: float) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row(run.dag_id, state, f"{seconds:.0f} s")
    for task, ended in tasks.items():
        table.add_row(f"  {task}", "" if ended == "none" else ended, detail if ended == "running" else "")
    return table


def _table(title: str, heading: list[str], rows: list[list[str]]) -> RenderableType:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*heading, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    return table
