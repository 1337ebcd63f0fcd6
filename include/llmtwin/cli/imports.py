"""``import``: an official export, or a folder of texts, into MongoDB."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PATH_HELP = "The zip as you got it, or a folder: unpacked, or with Markdown and HTML files."


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("import")(import_)


def import_(
    path: Annotated[str, typer.Argument(help=PATH_HELP)],
    author: Annotated[str, typer.Option(help="Full name of who wrote what is in it.")],
    drafts: Annotated[bool, typer.Option("--drafts", help="What was never published too.")] = False,
    podcasts: Annotated[bool, typer.Option("--podcasts", help="The notes of podcast episodes too (Substack).")] = False,
    site: Annotated[
        str | None, typer.Option(help="Where a Substack publication is: https://name.substack.com.")
    ] = None,
) -> None:
    """Import your LinkedIn, Medium, Substack or X export, or a folder of texts, once.

    Importing the same export again changes nothing.
    """
    from rich.console import Console
    from rich.markup import escape

    from llmtwin import crawling, warehouse
    from llmtwin.cli.data import crawl_table
    from llmtwin.errors import SourceError
    from llmtwin.settings import get_settings
    from llmtwin.sources import ImportOptions

    options = ImportOptions(drafts=drafts, podcasts=podcasts, site=site)
    # Whoever types this may read the file anyway.
    settings = get_settings().model_copy(update={"crawl_allow_local": True})
    given = path if path.lower().startswith("file:") else str(Path(path).expanduser().absolute())
    console = Console()
    with warehouse.connect(settings) as client, console.status(f"importing {escape(path)} …"):
        database = warehouse.open_database(client, settings)
        try:
            result = crawling.import_export(database, author, given, settings, options)
        except SourceError as error:
            result = {"failed": [str(error)]}
    console.print(crawl_table({path: result}))
    for reason in result["failed"]:
        typer.secho(f"failed: {reason}", fg=typer.colors.RED, err=True)
    if result["failed"]:
        raise typer.Exit(1)
