"""The prompt: the author's voice, passages fenced as data, and a length that fits the window.

Passages come from crawled pages, so anybody may have written them. Three things keep them data: the fence's name holds
digits that depend on a secret of this process, so no text can close it; whatever looks like a fence or like a special
token of the model is broken up; and the system prompt says that nothing inside is an instruction.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmtwin import prompt
from serving.gateway.errors import ApiError, invalid
from serving.gateway.tokenizer import ChatTokenizer, Message, text_of

if TYPE_CHECKING:
    from llmtwin.retrieval import Passage

_SECRET = secrets.token_bytes(32)
# Below this share of the window there is no room for a conversation.
_MOST_FOR_ANSWER = 0.5


@dataclass(frozen=True)
class Prompt:
    """What the model is asked.

    Attributes:
        messages: The chat.
        passages: Those it holds, in their order, the first one as [1].
        dropped_turns: How many of the oldest turns did not fit.
    """

    messages: list[Message]
    passages: list[Passage]
    dropped_turns: int


@dataclass(frozen=True)
class Room:
    """The tokens there are.

    Attributes:
        window: The model's.
        answer: Kept free for the answer.
        asked: Whether the client named that number; if not, an answer may be shorter than we would like.
    """

    window: int
    answer: int
    asked: bool

    @property
    def prompt(self) -> int:
        """The most a prompt may take."""
        return self.window - self.answer

    @classmethod
    def of(cls, request: dict[str, Any], window: int, default: int) -> Room:
        """Read a request's wish.

        Raises:
            ApiError: The answer alone would fill the window.
        """
        name = next((n for n in ("max_completion_tokens", "max_tokens") if request.get(n) is not None), None)
        if name is None:
            return cls(window, min(default, int(window * _MOST_FOR_ANSWER)), asked=False)
        wanted = request[name]
        if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
            raise invalid(f"{name} must be a whole number of at least 1", name)
        if wanted >= window:
            raise _too_long(window, f"{wanted} of them in {name}, which leaves none for the messages", name)
        return cls(window, wanted, asked=True)


def compose(
    request: dict[str, Any], passages: Sequence[Passage], author: str | None, tokenizer: ChatTokenizer, room: Room
) -> Prompt:
    """Return the prompt for a chat request; takes milliseconds of processor time, so call it in a thread.

    What does not fit is dropped: passages from the last, then turns from the oldest.

    Raises:
        ApiError: The last question alone does not fit, or the model's template refuses the messages.
    """
    system, turns = split(request["messages"])
    author = author or (passages[0].author if passages else None)

    def messages(kept: int, dropped: int) -> list[Message]:
        told = [text for text in (prompt.instructions(author, kept > 0), *map(text_of, system)) if text]
        rest = [message for turn in turns[dropped:] for message in turn]
        return [{"role": "system", "content": "\n\n".join(told)}, *_with(passages[:kept], rest, tokenizer)]

    def fits(kept: int, dropped: int, limit: int) -> bool:
        return tokenizer.count(messages(kept, dropped), request, limit) <= limit

    last = max(len(turns) - 1, 0)
    kept = _most(len(passages), lambda number: fits(number, 0, room.prompt))
    dropped = last - _most(last, lambda number: fits(kept, last - number, room.prompt))
    if dropped == last and not fits(kept, dropped, room.prompt):
        limit = room.prompt if room.asked else room.window - 1
        if room.asked or not fits(0, last, limit):
            tokens = tokenizer.count(messages(0, last), request, room.window)
            detail = f"at least {tokens} in the last message and {room.answer} for the answer"
            raise _too_long(room.window, detail, "messages")
        kept = 0
    return Prompt(messages(kept, dropped), list(passages[:kept]), dropped)


def split(messages: list[Message]) -> tuple[list[Message], list[list[Message]]]:
    """Return the system messages, and the others as turns, each of which begins with a message of the user."""
    system = [message for message in messages if message["role"] in ("system", "developer")]
    turns: list[list[Message]] = []
    for message in messages:
        if message in system:
            continue
        if message["role"] == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return system, turns


def question_of(messages: list[Message]) -> str | None:
    """Return what the user asked last; None if they asked nothing."""
    return next((text_of(message) for message in reversed(messages) if message["role"] == "user"), None)


def fence(passages: Sequence[Passage], tokenizer: ChatTokenizer) -> str:
    """Return passages as text between marks that nothing inside can forge."""
    return prompt.fence(passages, tokenizer.defuse, _sign)


def _sign(text: str) -> str:
    # Of the text and not by chance: the same passages make the same prompt, which vLLM finds in its prefix cache.
    return hmac.new(_SECRET, text.encode(), "sha256").hexdigest()


def _with(passages: Sequence[Passage], messages: list[Message], tokenizer: ChatTokenizer) -> list[Message]:
    """Put the passages before the user's last words."""
    if not passages:
        return messages
    place = max(index for index, message in enumerate(messages) if message["role"] == "user")
    asked = messages[place]
    content = prompt.with_passages(text_of(asked), fence(passages, tokenizer))
    return [*messages[:place], asked | {"content": content}, *messages[place + 1 :]]


def _most(highest: int, fits: Callable[[int], bool]) -> int:
    """Return the greatest number up to ``highest`` that fits, by halving; 0 is not tried."""
    if highest == 0 or fits(highest):
        return highest
    low = 0
    while highest - low > 1:
        middle = (low + highest) // 2
        low, highest = (middle, highest) if fits(middle) else (low, middle)
    return low


def _too_long(window: int, detail: str, param: str) -> ApiError:
    return invalid(
        f"This model's maximum context length is {window} tokens, but there are {detail}: shorten it",
        param,
        "context_length_exceeded",
    )
