"""Clients that ask without a pause, whole answers and streams, and keep what they got."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx
from tests.integration.serving.gateway.conftest import Gateway

QUESTION = {"role": "user", "content": "What do you think of queues?"}


@dataclass
class Hammer:
    """Asks ``twin`` from several threads inside a ``with`` block.

    Attributes:
        gateway: Who is asked.
        clients: How many threads ask; every second one streams.
        answered: How often each model answered.
        failures: Every answer that was not what it should be.
    """

    gateway: Gateway
    clients: int = 6
    tokens: int = 12
    answered: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=[number % 2 == 0]) for number in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, model: str) -> None:
        """Return once this model has answered again."""
        before, deadline = self.answered[model], time.monotonic() + 120
        while self.answered[model] == before:
            assert time.monotonic() < deadline, f"{model} does not answer: {self.answered}, {self.failures}"
            time.sleep(0.05)

    def _ask(self, stream: bool) -> None:
        body = {"model": "twin", "messages": [QUESTION], "rag": False, "max_tokens": self.tokens, "stream": stream}
        with self.gateway.http as client:
            while not self._stop.is_set():
                try:
                    models = _streamed(client, body) if stream else _whole(client, body)
                except (httpx.HTTPError, AssertionError) as error:
                    self.failures.append(repr(error))
                    continue
                if len(models) != 1:
                    self.failures.append(f"one answer of {models}")
                self.answered.update(models)


def _whole(client: httpx.Client, body: dict[str, Any]) -> set[str]:
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["choices"][0]["message"]["content"], answer
    return {answer["model"]}


def _streamed(client: httpx.Client, body: dict[str, Any]) -> set[str]:
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200, response.read()
        events = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert events[-1] == "[DONE]", events[-1]
    chunks = [json.loads(event) for event in events[:-1]]
    assert not [chunk for chunk in chunks if "error" in chunk], chunks
    assert any(choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]), chunks
    return {chunk["model"] for chunk in chunks}
