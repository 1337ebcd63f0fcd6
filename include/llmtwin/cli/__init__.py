"""The ``llmtwin`` command.

A module of this package is a group of commands and has one function, ``register(app)``, that adds them. What a command
needs is imported inside it, so that ``llmtwin --help`` answers at once.
"""

from __future__ import annotations

import sys

import typer

from llmtwin.cli import (
    ask,
    browser,
    data,
    datasets,
    demo,
    evaluation,
    imports,
    keys,
    queue,
    registry,
    stack,
    staging,
    traces,
    train,
    twin,
    vectors,
)
from llmtwin.errors import LlmtwinError

app = typer.Typer(
    help="An LLM twin's data platform: crawl → MongoDB → RabbitMQ → Airflow → Qdrant.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    # An error raised on purpose is one line, see main(); for any other, Python's own traceback says most.
    pretty_exceptions_enable=False,
)

for group in (
    demo,
    twin,
    stack,
    data,
    ask,
    imports,
    browser,
    staging,
    vectors,
    queue,
    keys,
    traces,
    datasets,
    train,
    evaluation,
    registry,
):
    group.register(app)


def main() -> None:
    """Run the command line; an error raised on purpose ends it with one red line and exit code 1."""
    try:
        app()
    except LlmtwinError as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(1)
