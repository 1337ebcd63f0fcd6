"""``ask``: the twin answers in the terminal, with what it was given to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from llmtwin.settings import Settings

_TIMEOUT_SECONDS = 300.0


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(ask)


def ask(
    question: Annotated[str, typer.Argument(help="In plain words.")],
    model: Annotated[str, typer.Option(help="twin, twin@VERSION or base.")] = "twin",
    author: Annotated[list[str] | None, typer.Option(help="Only what this author wrote; repeat for several.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="post, article or repository; repeat for several.")] = None,
    rag: Annotated[bool, typer.Option("--rag/--no-rag", help="Look up what was published first.")] = True,
) -> None:
    """Ask the gateway, and watch the answer come."""
    from rich.console import Console

    from llmtwin.settings import get_settings

    options: bool | dict[str, Any] = {"authors": author or [], "kinds": kind or []} if rag else False
    answer(Console(), get_settings(), question, model=model, rag=options)


def answer(
    console: Console, settings: Settings, question: str, *, model: str = "twin", rag: bool | dict[str, Any] = True
) -> str:
    """Print an answer of the gateway as it comes, then its sources; return it.

    Raises:
        GatewayError: The gateway is not there, or answers with an error.
    """
    said, last = "", {}
    for chunk in _chunks(settings, {"model": model, "messages": [{"role": "user", "content": question}], "rag": rag}):
        last = chunk
        for choice in chunk["choices"]:
            text = choice["delta"].get("content") or ""
            said += text
            console.print(text, end="", markup=False, highlight=False)
    console.print()
    for note in last.get("rag", {}).get("notes", []):
        console.print(f"note: {note}", markup=False, style="yellow")
    if citations := last.get("citations"):
        console.print(_sources(citations))
    return said


def _chunks(settings: Settings, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a streamed chat."""
    import httpx
    import orjson

    from llmtwin.errors import GatewayError

    # Without the penalty, a model as small as the default one says the same sentence again and again.
    body = {"stream": True, "temperature": 0, "frequency_penalty": 0.5, "max_tokens": 200, **request}
    key = settings.gateway_api_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    try:
        with httpx.stream(
            "POST",
            f"{settings.gateway}/v1/chat/completions",
            json=body,
            headers=headers,
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        ) as response:
            if response.is_error:
                response.read()
                raise GatewayError(f"the gateway refused: {_reason(response.content)}")
            for line in response.iter_lines():
                data = line.removeprefix("data: ")
                if data == line or data == "[DONE]":
                    continue
                chunk = orjson.loads(data)
                if "error" in chunk:
                    raise GatewayError(f"the answer broke off: {chunk['error']['message']}")
                yield chunk
    except httpx.HTTPError as error:
        raise GatewayError(
            f"no answer from the gateway at {settings.gateway}: {error or type(error).__name__}; "
            "start it with `llmtwin up --with-llm`"
        ) from error


def _reason(body: bytes) -> str:
    import orjson

    try:
        return str(orjson.loads(body)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")


def _sources(citations: list[dict[str, Any]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right", style="cyan")
    table.add_column(overflow="fold")
    for cited in citations:
        lines = f", lines {cited['lines'][0]}–{cited['lines'][1]}" if cited.get("lines") else ""
        name = Text(cited.get("path") or cited.get("title") or cited["link"])
        table.add_row(
            f"[{cited['index']}]".replace("[", "\\["), Text.assemble(name, lines, ("  " + cited["link"], "dim"))
        )
    return table
