"""``vectors``: which collections stand behind which alias, and moving readers to another embedding model."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Collections and aliases in Qdrant.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the commands to ``parent``."""
    parent.add_typer(app, name="vectors")


@app.command()
def ls() -> None:
    """List collections with their points, and the alias readers see each under."""
    from rich.console import Console
    from rich.table import Table

    from llmtwin import vectors
    from llmtwin.settings import get_settings

    table = Table(box=None, pad_edge=False)
    for heading in ("collection", "alias", "points"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "points" else "left")
    with vectors.connect(get_settings()) as client:
        served = {collection: alias for alias, collection in vectors.aliases(client).items()}
        for name in sorted(vectors.collection_names(client)):
            table.add_row(name, served.get(name, ""), str(client.count(name, exact=True).count))
    Console().print(table)


@app.command()
def switch(
    kind: Annotated[str, typer.Argument(help="post, article or repository.")],
    force: Annotated[
        bool, typer.Option("--force", help="Even if documents are missing in the new collection.")
    ] = False,
) -> None:
    """Let readers of a kind see the collection of the embedding model that the settings name now.

    Fill it first: `llmtwin cdc --snapshot` sends every document through the pipeline, which embeds it with that model.
    """
    from llmtwin import vectors
    from llmtwin.documents import Kind
    from llmtwin.errors import VectorStoreError
    from llmtwin.features import handler_for
    from llmtwin.settings import get_settings

    known = [member.value for member in Kind]
    if kind not in known:
        raise typer.BadParameter(f"{kind}: a kind is one of {', '.join(known)}")
    settings = get_settings()
    alias = vectors.embedded_alias(Kind(kind))
    target = vectors.embedded_collection(Kind(kind), handler_for(Kind(kind), settings).model_id)
    with vectors.connect(settings) as client:
        if target not in vectors.embedded_collections(client, Kind(kind)):
            raise VectorStoreError(f"there is no collection {target} yet: fill it with `llmtwin cdc --snapshot`")
        embedded = vectors.documents_in(client, target)
        cleaned = client.count(vectors.cleaned_alias(Kind(kind)), exact=True).count
        if embedded < cleaned and not force:
            raise VectorStoreError(
                f"{target} holds chunks of {embedded} of {cleaned} documents: wait for the micro-batches, or --force"
            )
        vectors.switch_alias(client, alias, target)
    typer.echo(f"{alias} → {target}")
