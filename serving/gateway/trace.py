"""What is known of a request once it has been answered, and who is told.

A sink decides before a request is answered whether it wants its trace, so that what nobody reads is never collected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Protocol

import orjson


@dataclass
class Trace:
    """One request for an answer.

    Attributes:
        trace_id: The ``x-request-id`` of the answer.
        path: ``/v1/chat/completions`` or ``/v1/completions``.
        key: The name of the API key, if there was one.
        model: As the client asked for it.
        served: The model that answered, e.g. ``twin@3``.
        question: What passages were looked for; None without retrieval.
        prompt: The messages (or the text) as sent to the model.
        parameters: Everything else of the request, e.g. ``temperature``.
        passages: What the prompt held, in its order: chunk id, link, score.
        notes: What could not be done.
        steps: Seconds of each step: those of retrieval, ``prompt``, ``first_token``, ``total``.
        answer: What the model wrote, of each choice.
        usage: OpenAI's token counts.
        status: The HTTP status; 499 when the client left.
        error: What went wrong.
        error_quotes: Whether that may repeat what was asked.
    """

    trace_id: str
    path: str
    key: str | None = None
    model: str = ""
    served: str = ""
    question: str | None = None
    prompt: Any = None
    parameters: dict[str, Any] = field(default_factory=dict)
    passages: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    steps: dict[str, float] = field(default_factory=dict)
    answer: list[str] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    error: str | None = None
    error_quotes: bool = False
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _clock: float = field(default_factory=perf_counter, repr=False)

    def elapsed(self) -> float:
        """Return the seconds since the request came in."""
        return perf_counter() - self._clock

    def first_token(self) -> None:
        """Note when the answer began, once."""
        self.steps.setdefault("first_token", self.elapsed())

    def read_answer(self, answer: dict[str, Any]) -> None:
        """Take answer and token counts from a whole answer of vLLM's."""
        self._read([answer])

    def read_events(self, events: Iterable[bytes]) -> None:
        """Take answer and token counts from the events of a stream."""
        lines = b"".join(events).split(b"\n")
        self._read(orjson.loads(line[6:]) for line in lines if line.startswith(b"data: {"))

    def _read(self, parts: Iterable[dict[str, Any]]) -> None:
        texts: dict[int, list[str]] = {}
        for part in parts:
            for choice in part.get("choices") or ():
                message = choice.get("message") or choice.get("delta") or choice
                texts.setdefault(choice.get("index", 0), []).append(message.get("content") or message.get("text") or "")
            self.usage = part.get("usage") or self.usage
        self.answer = ["".join(texts[index]) for index in sorted(texts)]


class TraceSink(Protocol):
    """Where traces go."""

    def wants(self, trace: Trace) -> bool:
        """Return whether the answer of this request, just begun, is to be collected."""

    async def record(self, trace: Trace) -> None:
        """Take the trace of a request that has ended; called after the answer was sent."""


class NoSink:
    """Keeps nothing."""

    def wants(self, trace: Trace) -> bool:
        """Return False."""
        return False

    async def record(self, trace: Trace) -> None:
        """Do nothing."""
