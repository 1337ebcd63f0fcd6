"""``ask``: the twin answers in the terminal, with what it was given to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from rich.console import Console, RenderableType

    from llmtwin.settings import Settings

_TIMEOUT_SECONDS = 300.0
# Models as small as the default one do not know when to stop.
_MAX_TOKENS = 200
# What moves a terminal's cursor, renames its window, or worse: pages and models write what they like.
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
for _kept in "\n\t":
    del _CONTROLS[ord(_kept)]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(ask)


def ask(
    question: Annotated[str, typer.Argument(help="In plain words.")],
    model: Annotated[str, typer.Option(help="twin, twin@VERSION or base.")] = "twin",
    author: Annotated[list[str] | None, typer.Option(help="Only what this author wrote; repeat for several.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="post, article or repository; repeat for several.")] = None,
    rag: Annotated[bool, typer.Option("--rag/--no-rag", help="Look up what was published first.")] = True,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest an answer may be.")] = _MAX_TOKENS,
) -> None:
    """Ask the gateway, and watch the answer come."""
    from rich.console import Console

    from llmtwin.settings import get_settings

    chosen = {name: values for name, values in (("authors", author), ("kinds", kind)) if values}
    answer(Console(), get_settings(), question, model=model, rag=chosen if rag else False, max_tokens=max_tokens)


def answer(
    console: Console,
    settings: Settings,
    question: str,
    *,
    model: str = "twin",
    rag: bool | dict[str, Any] = True,
    max_tokens: int = _MAX_TOKENS,
) -> str:
    """Print an answer of the gateway as it comes, then its sources; return it.

    Raises:
        GatewayError: The gateway is not there, answers with an error, or breaks off.
    """
    # A command line can hold bytes that are no text, which Python spells as half characters.
    messages = [{"role": "user", "content": question.encode(errors="surrogateescape").decode(errors="replace")}]
    said, last, reasons = "", {}, set()
    for chunk in _chunks(settings, {"model": model, "messages": messages, "rag": rag, "max_tokens": max_tokens}):
        last = chunk
        for choice in chunk["choices"]:
            text = choice["delta"].get("content") or ""
            said += text
            reasons.add(choice.get("finish_reason"))
            console.file.write(_plain(text))  # as it is: rich would wrap lines and expand tabs
            console.file.flush()
    console.print()
    notes = list(last.get("rag", {}).get("notes", []))
    if "length" in reasons:
        notes.append(f"the answer was cut after {max_tokens} tokens: --max-tokens allows more")
    for note in notes:
        console.print(f"note: {_plain(note)}", markup=False, emoji=False, highlight=False, style="yellow")
    if citations := last.get("citations"):
        console.print(_sources(citations))
    return said


def _chunks(settings: Settings, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a streamed chat."""
    import httpx

    from llmtwin.errors import GatewayError

    # Without the penalty, a model as small as the default one says the same sentence again and again.
    body = {"stream": True, "temperature": 0, "frequency_penalty": 0.5, **request}
    key = settings.gateway_api_key
    headers = {b"Authorization": f"Bearer {key.get_secret_value()}".encode()} if key else {}
    url, has_begun = f"{settings.gateway}/v1/chat/completions", False
    try:
        with httpx.stream(
            "POST", url, json=body, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False
        ) as response:
            _require_stream(response, settings)
            has_begun = True
            yield from _events(response)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
        if has_begun:
            raise GatewayError(f"the answer broke off: {why}; see `llmtwin logs gateway`") from error
        raise GatewayError(
            f"no answer from the gateway at {settings.gateway}: {why}; start it with `llmtwin up --with-llm`"
        ) from error


def _require_stream(response: httpx.Response, settings: Settings) -> None:
    from llmtwin.errors import GatewayError

    if response.is_error:
        response.read()
        hint = "; LLMTWIN_GATEWAY_API_KEY is what this command sends" if response.status_code == 401 else ""
        raise GatewayError(f"the gateway refused: {_reason(response.content)}{hint}")
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        raise GatewayError(f"what answers at {settings.gateway} is no gateway: see LLMTWIN_GATEWAY_URL")


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    import orjson

    from llmtwin.errors import GatewayError

    for line in response.iter_lines():
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            return
        if data == line:
            continue
        chunk = orjson.loads(data)
        if "error" in chunk:
            raise GatewayError(f"the answer broke off: {_plain(chunk['error']['message'])}")
        yield chunk
    raise GatewayError("the answer broke off: the gateway ended it in the middle; see `llmtwin logs gateway`")


def _reason(body: bytes) -> str:
    import orjson

    try:
        return _plain(str(orjson.loads(body)["error"]["message"]))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return _plain(body[:200].decode("utf-8", "replace"))


def _plain(text: str) -> str:
    """Return the text without what a terminal would obey."""
    return text.translate(_CONTROLS)


def _sources(citations: list[dict[str, Any]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right", style="cyan")
    table.add_column(overflow="fold")
    for cited in citations:
        lines = f", lines {cited['lines'][0]}–{cited['lines'][1]}" if cited.get("lines") else ""
        name = _plain(cited.get("path") or cited.get("title") or cited["link"])
        table.add_row(Text(f"[{cited['index']}]"), Text.assemble(name, lines, (f"  {_plain(cited['link'])}", "dim")))
    return table
