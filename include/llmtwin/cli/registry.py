"""``versions``, ``promote`` and ``rollback``: which adapter answers as ``twin``."""

from __future__ import annotations

import time
from types import EllipsisType
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from llmtwin.promotion import Decision, Switch
    from llmtwin.registry import Version
    from llmtwin.settings import Settings

registry_app = typer.Typer(
    help="The registry in an object store; versions on the Hugging Face Hub.", no_args_is_help=True
)

_COLORS = {"candidate": "yellow", "accepted": "cyan", "production": "green", "archived": "dim"}


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    for command in (versions, promote, rollback):
        app.command()(command)
    app.add_typer(registry_app, name="registry")


def versions() -> None:
    """List all versions of the twin, with where each came from and why it was laid aside."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from llmtwin.registry import Lineage, Registry
    from llmtwin.settings import get_settings

    table = Table(box=None, pad_edge=False)
    for heading in ("version", "status", "registered", "author", "dataset", "recipe", "reason"):
        table.add_column(heading, no_wrap=heading in ("version", "status", "registered"), overflow="fold")
    found = Registry(get_settings().registry).versions()
    for version in reversed(found):
        lineage = version.lineage or Lineage()
        known = (lineage.author, lineage.dataset, lineage.recipe, version.reason)
        status = f"[{_COLORS[version.status]}]{version.status}[/]"
        registered = f"{version.created_at.astimezone():%Y-%m-%d %H:%M}"
        table.add_row(version.version, status, registered, *(escape(value or "") for value in known))
    Console().print(table if found else "no version yet: `llmtwin train` makes one")


def promote(
    version: Annotated[str | None, typer.Argument(help="As `llmtwin versions` lists it; the newest candidate.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    despite_gate: Annotated[
        bool, typer.Option("--despite-gate", help="Even if the gate rejects it, or it was never evaluated.")
    ] = False,
) -> None:
    """Serve a version as `twin`, once it has passed the gate, loads into vLLM and answers a question."""
    from rich.console import Console

    from llmtwin import promotion
    from llmtwin.errors import EvaluationError, PromotionError
    from llmtwin.registry import Status
    from llmtwin.settings import get_settings

    console, settings = Console(), get_settings()
    chosen = promotion.choose(version, settings)
    over: str | EllipsisType | None = ...
    # Whoever was accepted or served before has passed.
    if chosen.status is Status.CANDIDATE:
        try:
            decision = promotion.prepare_decision(chosen.version, settings)
        except EvaluationError as error:
            if not despite_gate:
                raise
            console.print(f"not evaluated: {error}", style="yellow", markup=False)
        else:
            console.print(decision_panel(decision))
            if not decision.verdict.passed and not despite_gate:
                raise PromotionError(f"the gate rejects version {chosen.version}; --despite-gate promotes it anyway")
            over = decision.evaluation.production
    if not yes and not typer.confirm(f"Serve version {chosen.version} as twin?"):
        raise typer.Exit(1)
    began = time.monotonic()
    with console.status("loading, asking a question …"):
        switch = promotion.promote(chosen.version, settings, over=over)
    _report(console, switch, time.monotonic() - began)


def rollback() -> None:
    """Serve again, at once, what was served as `twin` before."""
    from rich.console import Console

    from llmtwin import promotion
    from llmtwin.settings import get_settings

    began = time.monotonic()
    switch = promotion.rollback(get_settings())
    _report(Console(), switch, time.monotonic() - began)


@registry_app.command()
def push() -> None:
    """Copy versions and index to the object store; refuses when that has changed since."""
    from llmtwin import registry
    from llmtwin.settings import get_settings

    settings = get_settings()
    copied = registry.push(registry.Registry(settings.registry), _store_url(settings))
    typer.echo(f"copied: {', '.join(copied) or 'no version, only what became of them'}")


@registry_app.command()
def pull() -> None:
    """Copy versions and index from the object store; refuses when this registry has changed since."""
    from llmtwin import registry
    from llmtwin.settings import get_settings

    settings = get_settings()
    copied = registry.pull(registry.Registry(settings.registry), _store_url(settings))
    typer.echo(f"copied: {', '.join(copied) or 'no version, only what became of them'}")


@registry_app.command()
def publish(
    version: Annotated[
        str | None, typer.Argument(help="As `llmtwin versions` lists it; the one in production.")
    ] = None,
) -> None:
    """Upload a version to the Hugging Face Hub, see LLMTWIN_HUB_REPOSITORY; again changes nothing."""
    from llmtwin.errors import RegistryError
    from llmtwin.promotion import publish_to_hub
    from llmtwin.registry import Registry
    from llmtwin.settings import get_settings

    settings = get_settings()
    if version is None:
        production = Registry(settings.registry).production()
        if production is None:
            raise RegistryError("no version is in production: name one, `llmtwin versions` lists them")
        version = production.version
    typer.echo(f"published: {publish_to_hub(version, settings)}")


def _store_url(settings: Settings) -> str:
    from llmtwin.errors import SettingsError

    if settings.registry_url is None:
        raise SettingsError("name an object store in LLMTWIN_REGISTRY_URL: s3://bucket/path, or file:///mnt/share")
    return settings.registry_url


def decision_panel(decision: Decision) -> RenderableType:
    """Return the figures of a candidate and the gate's verdict."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    from llmtwin import promotion

    version, verdict = decision.version, decision.verdict
    models, rows = promotion.figures(decision.evaluation)
    table = Table("figure", *models, title=_title(version), title_justify="left", box=None, pad_edge=False)
    for row in [*rows, *promotion.comparisons(decision.evaluation)]:
        table.add_row(*map(escape, row))
    said = "[green]the gate lets it pass[/]" if verdict.passed else "[red]the gate rejects it[/]"
    missing = [f"[dim]not measured: {escape(words)}[/]" for words in promotion.not_measured(decision.evaluation)]
    return Group(table, *missing, said, *(f"  [red]·[/] {escape(reason)}" for reason in verdict.reasons))


def _title(version: Version) -> str:
    author = f", {version.lineage.author}" if version.lineage and version.lineage.author else ""
    return f"{version.served_name}{author}"


def _report(console: Console, switch: Switch, seconds: float) -> None:
    before, now = (f"version {name}" if name else "the base model" for name in (switch.before, switch.now))
    if switch.answer:
        console.print(f"it said: {switch.answer}", markup=False, highlight=False, style="dim")
    for note in switch.notes:
        console.print(f"note: {note}", markup=False, style="yellow")
    console.print(f"twin was {before} and is {now} now ({seconds:.2f} s)")
