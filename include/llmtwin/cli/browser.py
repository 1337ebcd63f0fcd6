"""``browser login``: log in by hand, once, where a site wants a person."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Site(StrEnum):
    """A site that is read with a login."""

    LINKEDIN = "linkedin"


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    group = typer.Typer(no_args_is_help=True, help="The browser that reads what wants a login.")
    group.command()(login)
    group.callback()(lambda: None)  # keeps `login` a command of its own, as the only one of its group
    app.add_typer(group, name="browser")


def login(
    site: Annotated[Site, typer.Argument(help="Where to log in.")],
    minutes: Annotated[float, typer.Option(min=0.1, help="How long the window waits for you.")] = 10,
) -> None:
    """Open a browser window, wait until you have logged in, and save the session for crawls."""
    from llmtwin.settings import get_settings
    from llmtwin.sources.linkedin import LinkedInSource

    sources = {Site.LINKEDIN: LinkedInSource()}
    typer.echo(f"log in to {site} in the window that opens; it closes by itself")
    saved = sources[site].log_in_by_hand(get_settings(), minutes * 60)
    typer.echo(f"the session is saved in {saved}; whoever can read that file is logged in as you")
