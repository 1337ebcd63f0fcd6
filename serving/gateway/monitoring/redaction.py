"""What of a request is kept: figures always, texts if settings say so, secrets never."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from llmtwin import traces
from serving.gateway.trace import Trace

HIDDEN = "[secret]"

# Of the parameters, those that are no text of the user's.
_FIGURES = {
    "frequency_penalty", "logprobs", "max_completion_tokens", "max_tokens", "min_p", "n", "presence_penalty",
    "repetition_penalty", "seed", "stream", "temperature", "top_k", "top_logprobs", "top_p",
}  # fmt: skip
_LONGEST_ERROR = 1_000
# Tokens as those who hand them out make them recognizable (GitHub, OpenAI, Hugging Face, AWS, Slack, our own), anything
# sent as a bearer, JSON web tokens, private keys, and passwords in URLs.
_SECRETS = re.compile(
    r"\bllmtwin-[\w-]{43}"
    r"|\b(?:gh[opsur]_|github_pat_|sk-|hf_|xox[abprs]-)[\w-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|(?<=[Bb]earer )[\w.~+/=-]{16,}"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.+?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)",
    re.DOTALL,
)

# Of a link, as far as a text goes on without a space or a quotation mark.
_QUERY = re.compile(r"(?<=://)([^\s?#'\"]*)\?[^\s#'\"]*")


def kept(trace: Trace, content: bool) -> traces.Trace:
    """Return what is kept of a request.

    Args:
        trace: All that is known of it.
        content: Whether question, prompt, answer and parameters that are text are kept.
    """
    error = "the model refused the request" if trace.error_quotes and not content else trace.error
    parameters = trace.parameters if content else _figures(trace.parameters)
    return traces.Trace(
        trace_id=trace.trace_id,
        started_at=trace.started_at,
        path=trace.path,
        key=traces.key_digest(trace.key),
        model=str(without_secrets(trace.model)),
        served=trace.served,
        question=without_secrets(trace.question) if content else None,
        prompt=without_secrets(trace.prompt) if content else None,
        parameters=without_secrets(parameters),
        passages=[
            traces.UsedPassage(chunk_id=str(one["chunk_id"]), link=bare(str(one["link"])), score=one["score"])
            for one in trace.passages
        ],
        notes=[_told(note) for note in trace.notes],
        steps=trace.steps,
        answer=without_secrets(trace.answer) if content else [],
        usage=trace.usage,
        status=trace.status,
        error=_told(error[:_LONGEST_ERROR]) if error else None,
    )


def without_secrets(value: Any) -> Any:
    """Return JSON with everything in it that looks like a secret replaced."""
    if isinstance(value, str):
        return _SECRETS.sub(HIDDEN, value)
    if isinstance(value, Mapping):
        return {name: without_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return value


def bare(link: str) -> str:
    """Return a link without user name, password and query, where signatures and tokens are; a fragment stays."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return HIDDEN
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", parts.fragment))


def _told(words: str) -> str:
    """Return words of ours without secrets, and without the queries of the links that they name."""
    return str(without_secrets(_QUERY.sub(r"\1", words)))


def _figures(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in parameters.items()
        if name in _FIGURES and isinstance(value, (int, float, type(None)))
    }
