"""A scripted teacher: an OpenAI-compatible endpoint on a real server, which can be slow, down, strict or mad.

::

    with ScriptedTeacher() as teacher:
        teacher.nonsense = lambda body, number: number % 3 == 0
        build(settings_of(settings, teacher), "Ana Núñez")
    teacher.requests  # what came
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr
from tests.scripted_server import JsonHandler

from llmtwin.settings import Settings

MODEL = "scripted-teacher"
KEY = "key-of-the-teacher"
_FILLER = "broadly speaking one might consider several aspects with due care and some patience"


class ScriptedTeacher:
    """The server. A context manager; change its attributes at any time.

    Attributes:
        delay: Seconds before each answer.
        refusals: Statuses to answer the next requests with, each with an optional ``retry-after``.
        nonsense: Whether to answer a request (its body, its number from 0) with what cannot be used.
        gibberish: What is said then.
        requests: Bodies of all requests that were answered with 200.
    """

    def __init__(self) -> None:
        self.delay = 0.0
        self.refusals: list[tuple[int, str | None]] = []
        self.nonsense: Callable[[dict[str, Any], int], bool] = lambda body, number: False
        self.gibberish = "Sure! Here is what you asked for:"
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """As the settings want it."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Go down: from now on, connections are refused."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def reply(self, body: dict[str, Any], authorization: str | None) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Return status, headers and body of an answer."""
        with self._lock:
            if self.refusals:
                status, wait = self.refusals.pop(0)
                return status, {"retry-after": wait} if wait else {}, {"error": {"message": "the script says so"}}
            if authorization != f"Bearer {KEY}":
                return 401, {}, {"error": {"message": "Incorrect API key provided"}}
            if body["model"] != MODEL:
                return 404, {}, {"error": {"message": f"The model `{body['model']}` does not exist"}}
            number = len(self.requests)
            self.requests.append(body)
        text = self.gibberish if self.nonsense(body, number) else json.dumps(sensible(body))
        words = sum(len(message["content"].split()) for message in body["messages"])
        usage = {"prompt_tokens": words, "completion_tokens": len(text.split())}
        return 200, {}, {"choices": [{"message": {"role": "assistant", "content": text}}], "usage": usage}


def settings_of(settings: Settings, teacher: ScriptedTeacher, **changes: Any) -> Settings:
    """Return settings with this teacher."""
    known = {
        "teacher_url": teacher.url,
        "teacher_model": MODEL,
        "teacher_api_key": SecretStr(KEY),
        "teacher_price_input": 2.0,
        "teacher_price_output": 8.0,
    }
    return settings.model_copy(update=known | changes)


def sensible(body: dict[str, Any]) -> dict[str, str]:
    """Return what a capable teacher answers: the same to the same request."""
    told, asked = body["messages"][0]["content"], body["messages"][-1]["content"]
    mark = hashlib.sha256(asked.encode()).hexdigest()[:6]
    if "instruction" in body["response_format"]["json_schema"]["schema"]["properties"]:
        return {"instruction": f"What would you say to somebody who wonders about number {mark} in all of this?"}
    length = re.search(r"about (\d+) words", told)
    filler = _FILLER.split()
    words = int(length[1]) if length else 80
    text = " ".join(f"{filler[at % len(filler)]}{mark if at % 7 == 0 else ''}" for at in range(words))
    return {"answer": f"{text}." if length else f"{text} [1]."}


def _handler(teacher: ScriptedTeacher) -> type[BaseHTTPRequestHandler]:
    class Handler(JsonHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802 - http.server's name
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            time.sleep(teacher.delay)
            if self.path != "/v1/chat/completions":
                status, headers, answer = 404, {}, {"error": {"message": "no such path"}}
            else:
                status, headers, answer = teacher.reply(body, self.headers["authorization"])
            self.answer(status, answer, headers)

    return Handler
