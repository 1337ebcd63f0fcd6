"""``keys``: who may use the gateway."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="API keys of the gateway; while there is none, it asks for none.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the commands to ``parent``."""
    parent.add_typer(app, name="keys")


@app.command()
def add(name: Annotated[str, typer.Argument(help="Whose key it is.")]) -> None:
    """Make a key and print it, once: only its hash is kept. From the first key on, the gateway wants one."""
    from llmtwin.keys import KeyFile
    from llmtwin.settings import get_settings

    typer.echo(KeyFile(get_settings().gateway_keys).add(name))


@app.command("list")
def list_keys() -> None:
    """List names, with when each key was made and revoked."""
    from rich.console import Console
    from rich.table import Table

    from llmtwin.keys import KeyFile
    from llmtwin.settings import get_settings

    table = Table("name", "made", "revoked", box=None, pad_edge=False)
    for key in KeyFile(get_settings().gateway_keys).entries():
        revoked = f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else ""
        table.add_row(key.name, f"{key.created_at:%Y-%m-%d %H:%M}", revoked)
    Console().print(table)


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="As `llmtwin keys list` shows it.")]) -> None:
    """Let a key open nothing any more, from the next request on."""
    from llmtwin.keys import KeyFile
    from llmtwin.settings import get_settings

    KeyFile(get_settings().gateway_keys).revoke(name)
    typer.echo(f"{name} is revoked")
