"""The teacher: a language model behind an OpenAI-compatible endpoint, asked for JSON of a given form.

What fails for a moment (no connection, 429, 5xx) is tried again after a pause. What answers, but with nonsense, costs
that one item: it is asked `teacher_attempts` times, then dropped and counted. What can only fail again (a wrong key, an
unknown model) ends the build, and so does a teacher that gives nothing usable at all.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx
import orjson
import stamina
import structlog

from llmtwin.datasets.journal import Journal, Reply, key_of
from llmtwin.errors import TeacherError
from llmtwin.settings import Settings, redacted

log = structlog.get_logger(__name__)

T = TypeVar("T")

# So many items dropped in a row, and none is likely to be answered.
MOST_DROPPED = 20
_TRIES = 6
_LONGEST_WAIT = 60.0
_MILLION = 1_000_000
_REPORT_EVERY = 50


@dataclass(frozen=True)
class Task(Generic[T]):
    """One item for the teacher.

    Attributes:
        messages: The chat.
        schema: JSON schema of the answer.
        max_tokens: Of the answer.
        read: Makes the result of the parsed answer; raises ValueError with the reason where it is unusable.
    """

    messages: list[dict[str, str]]
    schema: dict[str, Any]
    max_tokens: int
    read: Callable[[dict[str, Any]], T]


@dataclass
class Usage:
    """What the answers cost."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, reply: Reply) -> None:
        """Count an answer."""
        self.requests += 1
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens


@dataclass
class Teacher:
    """Asks and keeps what was answered.

    Attributes:
        model: As the endpoint names it.
        used: By this dataset, kept answers included: the same whenever it is built.
        spent: In this process: kept answers cost nothing again.
        rejected: Unusable answers by reason.
    """

    model: str
    settings: Settings
    journal: Journal
    client: httpx.Client
    used: Usage = field(default_factory=Usage)
    spent: Usage = field(default_factory=Usage)
    rejected: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _dropped_in_a_row: int = 0

    def ask(self, tasks: Sequence[Task[T]], about: str) -> list[T | None]:
        """Return the results in the order of the tasks; None for each that was dropped.

        Args:
            tasks: Items, of which `teacher_concurrency` are asked at once.
            about: What they are, for the log.

        Raises:
            TeacherError: The teacher is down, refuses, or dropped `MOST_DROPPED` items in a row.
            OSError: The journal cannot be written.
        """
        results: list[T | None] = []
        with ThreadPoolExecutor(self.settings.teacher_concurrency, "teacher") as pool:
            futures: list[Future[T | None]] = [pool.submit(self._ask, task) for task in tasks]
            try:
                for number, future in enumerate(futures, 1):
                    results.append(future.result())
                    if number % _REPORT_EVERY == 0 or number == len(futures):
                        log.info("asked the teacher", about=about, done=number, of=len(futures), **vars(self.spent))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return results

    def cost(self, usage: Usage) -> float:
        """Return the price of tokens, in the currency of the settings."""
        read = usage.prompt_tokens * self.settings.teacher_price_input
        written = usage.completion_tokens * self.settings.teacher_price_output
        return round((read + written) / _MILLION, 6)

    def _ask(self, task: Task[T]) -> T | None:
        request = {
            "model": self.model,
            "messages": task.messages,
            "max_completion_tokens": task.max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": task.schema},
            },
        }
        for attempt in range(self.settings.teacher_attempts):
            reply = self._reply(request, key_of(request, attempt))
            try:
                result = task.read(_parsed(reply.text))
            except ValueError as error:
                with self._lock:
                    self.rejected[str(error)] += 1
                continue
            self._dropped_in_a_row = 0
            return result
        with self._lock:
            self._dropped_in_a_row += 1
            if self._dropped_in_a_row >= MOST_DROPPED:
                reasons = "; ".join(f"{count} × {reason}" for reason, count in self.rejected.most_common(3))
                raise TeacherError(
                    f"the teacher {self.model} gave no usable answer to {MOST_DROPPED} items in a row ({reasons}): "
                    f"name a more capable model in LLMTWIN_TEACHER_MODEL. If it was broken and is mended now, remove "
                    f"{self.journal.path}"
                )
        return None

    def _reply(self, request: dict[str, Any], key: str) -> Reply:
        reply = self.journal.get(key)
        fresh = reply is None
        if reply is None:
            reply = self.journal.add(self._fetch(request, key))
        with self._lock:
            self.used.add(reply)
            if fresh:
                self.spent.add(reply)
        return reply

    def _fetch(self, request: dict[str, Any], key: str) -> Reply:
        try:
            for attempt in stamina.retry_context(
                on=_backoff, attempts=_TRIES, timeout=None, wait_initial=1.0, wait_max=_LONGEST_WAIT / 2
            ):
                with attempt:
                    response = self.client.post("chat/completions", json=request)
                    response.raise_for_status()
                    return _read(key, response)
        except httpx.HTTPStatusError as error:
            raise TeacherError(
                f"{self._where} refuses with HTTP {error.response.status_code}: {_reason(error.response)}. What was "
                "answered before is kept: mend it and build again"
            ) from error
        except httpx.HTTPError as error:
            raise TeacherError(
                f"{self._where} does not answer ({error or type(error).__name__}). What was answered before is kept: "
                "start it and build again, or build without it (--no-teacher)"
            ) from error
        raise AssertionError("stamina returns or raises")

    @property
    def _where(self) -> str:
        return f"the teacher {self.model} at {redacted(str(self.client.base_url))}"


@contextmanager
def open_teacher(settings: Settings, journal: Path) -> Iterator[Teacher | None]:
    """Open the teacher that the settings name; None where they name none.

    Args:
        settings: The endpoint, its key and its prices.
        journal: Where answers are kept.

    Raises:
        TeacherError: The settings name an endpoint, but no model.
        OSError: The journal cannot be opened.
    """
    if not settings.teacher_url:
        yield None
        return
    if not settings.teacher_model:
        raise TeacherError("LLMTWIN_TEACHER_URL names a teacher, but LLMTWIN_TEACHER_MODEL does not say which model")
    key = settings.teacher_api_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    base = settings.teacher_url.rstrip("/") + "/"
    client = httpx.Client(base_url=base, headers=headers, timeout=settings.teacher_timeout_seconds)
    with client, Journal(journal) as kept:
        yield Teacher(settings.teacher_model, settings, kept, client)


def text_schema(name: str, about: str) -> dict[str, Any]:
    """Return the schema of an answer that is one text."""
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": about}},
        "required": [name],
        "additionalProperties": False,
    }


def text_in(parsed: dict[str, Any], name: str) -> str:
    """Return the text that `text_schema` asks for.

    Raises:
        ValueError: There is none.
    """
    text = parsed.get(name)
    if not isinstance(text, str):
        raise ValueError("not in the form asked for")
    return text.strip()


def _read(key: str, response: httpx.Response) -> Reply:
    """Return an answer, an empty one where the endpoint gives none of the form that OpenAI's have."""
    try:
        body = orjson.loads(response.content)
        usage = body.get("usage") or {}
        return Reply(
            key=key,
            text=body["choices"][0]["message"]["content"] or "",
            prompt_tokens=usage.get("prompt_tokens") or 0,
            completion_tokens=usage.get("completion_tokens") or 0,
        )
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError, ValueError):
        return Reply(key=key, text="")


def _parsed(text: str) -> dict[str, Any]:
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError("no JSON") from None
    if not isinstance(parsed, dict):
        raise ValueError("not in the form asked for")
    return parsed


def _backoff(error: Exception) -> bool | float:
    """Tell whether to try again, and after how many seconds if the endpoint says so."""
    if not isinstance(error, httpx.HTTPStatusError):
        return isinstance(error, httpx.TransportError)
    response = error.response
    if response.status_code not in (408, 425, 429) and response.status_code < 500:
        return False
    wait = response.headers.get("retry-after", "")
    return min(float(wait), _LONGEST_WAIT) if wait.replace(".", "", 1).isdecimal() else True


def _reason(response: httpx.Response) -> str:
    try:
        return str(orjson.loads(response.content)["error"]["message"])[:300]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return response.text[:300] or response.reason_phrase
