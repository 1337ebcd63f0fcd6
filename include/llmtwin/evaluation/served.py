"""The models under comparison, as the running vLLM serves them: what they are surprised by, and what they answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict

from llmtwin.errors import EvaluationError, VllmError
from llmtwin.evaluation.journal import Journal
from llmtwin.evaluation.perplexity import Surprise
from llmtwin.registry.loading import understood
from llmtwin.settings import Settings, redacted

# Requests under way at once. Prompt log-probabilities take a row of the vocabulary's size per token, for each of them.
_ANSWERING = 8
_SCORING = 4
_TIMEOUT_SECONDS = 600.0
Message = dict[str, str]
Asked = TypeVar("Asked")
Given = TypeVar("Given")


@dataclass(frozen=True)
class Model:
    """One of the models.

    Attributes:
        role: ``candidate``, ``production``, ``base`` or ``control``.
        name: What vLLM calls it.
        identity: What its answers depend on besides the request: the digest of its weights, or the base model's name.
    """

    role: str
    name: str
    identity: str


class Answer(BaseModel):
    """What a model wrote.

    Attributes:
        text: Without the chat template's marks.
        tokens: How many were generated.
        cut: Whether it stopped at the limit and not by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    tokens: int
    cut: bool


class Vllm:
    """The running vLLM. A context manager.

    Args:
        settings: Where it is.
        journal: Where answers are kept.

    Raises:
        VllmError: vLLM does not answer, serves no base model, or something else answers there.
    """

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._url = redacted(settings.vllm)
        self._journal = journal
        self._client = httpx.Client(base_url=settings.vllm, timeout=_TIMEOUT_SECONDS, trust_env=False)
        with understood(self._url):
            card = self._base()
            self.base_name: str = card["id"]
            self.base_root: str = card.get("root") or card["id"]
            self.window: int = card["max_model_len"]
            self.version = str(self._get("/version").get("version", "unknown"))
        self._server = [self.base_root, self.version]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def surprises(self, model: Model, texts: Sequence[tuple[Sequence[Message], str]]) -> list[Surprise | None]:
        """Return how surprised a model is by each text after its prompt; None where the prompt fills the window.

        A text that goes beyond the window is scored as far as the window reaches, the same for all models.

        Args:
            model: Loaded already.
            texts: Of each, the messages before it, and the text.

        Raises:
            VllmError: vLLM is gone, or refuses.
            EvaluationError: The chat template rewrites the text, so that it cannot be told from the prompt.
        """
        return parallel(_SCORING, lambda text: self._surprise(model, *text), texts)

    def answers(self, model: Model, prompts: Sequence[Sequence[Message]], **sampling: float) -> list[Answer | None]:
        """Return a model's answer to each prompt; None where the prompt leaves no room in the window.

        Requests carry no seed: where a prompt is read in pieces, vLLM 0.32 on the CPU ends its process on one. Answers
        are kept instead, so an evaluation that is run again judges the same ones.

        Args:
            model: Loaded already.
            prompts: The messages of each.
            sampling: ``max_tokens``, ``temperature``, ``top_p``.

        Raises:
            VllmError: vLLM is gone, or refuses.
        """
        return parallel(_ANSWERING, lambda prompt: self._answer(model, prompt, sampling), prompts)

    def _surprise(self, model: Model, prompt: Sequence[Message], text: str) -> Surprise | None:
        before = self._tokens(prompt, add_generation_prompt=True)
        answered = [*prompt, {"role": "assistant", "content": text}]
        whole = self._tokens(answered, add_generation_prompt=False, continue_final_message=True)[: self.window - 1]
        start = _shared(before, whole)
        if start < len(before) - 1 and len(whole) >= len(before):
            raise EvaluationError(
                f"the chat template of {self.base_root} writes a prompt differently once it is answered: its "
                "perplexity cannot be told from the prompt's"
            )
        if start >= len(whole):
            return None
        # Tokens, not text: the same for every model, whatever the server would do to a text.
        body = {"prompt": whole, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}

        def ask() -> dict[str, Any]:
            with understood(self._url):
                found = self._post("/v1/completions", {"model": model.name, **body})["choices"][0]["prompt_logprobs"]
                logs = [found[at][str(whole[at])]["logprob"] for at in range(start, len(whole))]
            if not all(isinstance(log, (int, float)) and math.isfinite(log) for log in logs):
                raise VllmError(f"vLLM gives no finite log-probabilities for {model.name}: its weights may be damaged")
            return {"tokens": len(logs), "nats": -math.fsum(logs)}

        return Surprise.model_validate(
            self._journal.remember(["surprise", self._server, model.identity, start, body], ask)
        )

    def _answer(self, model: Model, prompt: Sequence[Message], sampling: dict[str, float]) -> Answer | None:
        room = self.window - len(self._tokens(prompt, add_generation_prompt=True))
        if room < 1:
            return None
        body = {"messages": list(prompt), **sampling, "max_tokens": min(sampling["max_tokens"], room)}

        def ask() -> dict[str, Any]:
            with understood(self._url):
                found = self._post("/v1/chat/completions", {"model": model.name, **body})
                choice = found["choices"][0]
                return {
                    "text": choice["message"].get("content") or "",
                    "tokens": found["usage"]["completion_tokens"],
                    "cut": choice["finish_reason"] == "length",
                }

        return Answer.model_validate(self._journal.remember(["answer", self._server, model.identity, body], ask))

    def _tokens(self, messages: Sequence[Message], **how: bool) -> list[int]:
        """Return the base model's tokens of a chat; its adapters share them."""
        body = {"messages": list(messages), **how}

        def ask() -> list[int]:
            with understood(self._url):
                tokens: list[int] = self._post("/tokenize", {"model": self.base_name, **body})["tokens"]
                return tokens

        found: list[int] = self._journal.remember(["tokens", self._server, body], ask)
        return found

    def _base(self) -> dict[str, Any]:
        cards: list[dict[str, Any]] = self._get("/v1/models")["data"]
        for card in cards:
            if not card.get("parent"):
                return card
        raise VllmError(f"vLLM at {self._url} serves no base model")

    def _get(self, path: str) -> dict[str, Any]:
        return self._read(lambda: self._client.get(path))

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._read(lambda: self._client.post(path, json=body))

    def _read(self, send: Callable[[], httpx.Response]) -> dict[str, Any]:
        try:
            answer = send()
        except httpx.TransportError as error:
            raise VllmError(
                f"vLLM does not answer at {self._url} ({error!r}): run `llmtwin up --with-llm`, then evaluate again; "
                "what was answered until now is kept"
            ) from error
        if answer.is_error:
            raise VllmError(f"vLLM refuses (HTTP {answer.status_code}): {answer.text[:300]}")
        found: dict[str, Any] = answer.json()
        return found


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens both begin with."""
    length = min(len(one), len(other))
    return next((at for at in range(length) if one[at] != other[at]), length)


def parallel(workers: int, work: Callable[[Asked], Given], items: Iterable[Asked]) -> list[Given]:
    """Return what ``work`` gives for each item, in their order, so many at once; the first error ends it."""
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
