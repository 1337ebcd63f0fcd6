"""The served model's own tokenizer and chat template: how long a prompt really is."""

from __future__ import annotations

import inspect
import re
from functools import cached_property
from typing import Any

import structlog

from serving.gateway.errors import ApiError, invalid

log = structlog.get_logger(__name__)

Message = dict[str, Any]


class ChatTokenizer:
    """A model's tokenizer. Loading takes seconds; use from one thread at a time is not required.

    Args:
        source: The model's folder, or its hub id.

    Raises:
        ApiError: No tokenizer there, or one without a chat template.
    """

    def __init__(self, source: str) -> None:
        from transformers import AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(source)
        except (OSError, ValueError) as error:
            log.error("no tokenizer", source=source, reason=str(error))
            raise ApiError(
                503,
                "the gateway cannot load the tokenizer: let LLMTWIN_GATEWAY_TOKENIZER name its folder or hub id",
                code="tokenizer_unavailable",
            ) from error
        if not self._tokenizer.chat_template:
            raise ApiError(
                503, "the model has no chat template: serve one that was tuned to chat", code="tokenizer_unavailable"
            )

    def count(self, messages: list[Message], request: dict[str, Any], most: int | None = None) -> int:
        """Return how many tokens the model reads for a chat, the beginning of its answer included.

        Args:
            messages: The chat.
            request: The whole request; its tools and its arguments for the template count too.
            most: A limit. Of a text so long that it must be above, the fewest tokens it can have are returned: to count
                those of megabytes takes seconds.

        Raises:
            ApiError: The chat template refuses the messages, or the request its arguments.
        """
        from jinja2 import TemplateError

        extra = request.get("chat_template_kwargs")
        if isinstance(extra, dict) and (refused := sorted(self._reserved & extra.keys())):
            # Above all a template: it is a program, and runs here.
            raise invalid(f"chat_template_kwargs cannot set {', '.join(refused)}", "chat_template_kwargs")
        try:
            text = self._tokenizer.apply_chat_template(
                [message | {"content": text_of(message)} for message in messages],
                tools=request.get("tools") or None,
                tokenize=False,
                add_generation_prompt=True,
                **(extra if isinstance(extra, dict) else {}),
            )
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise invalid(f"the model's chat template refuses these messages: {error}", "messages") from error
        fewest = len(text) // self._longest
        if most is not None and fewest > most:
            return fewest
        return len(self._tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)

    def defuse(self, text: str) -> str:
        """Return the text with a space inside everything that the model would read as a special token.

        ``<|im_end|>`` in a crawled article would otherwise end the message that it is quoted in.
        """
        return self._special.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text) if self._special else text

    @cached_property
    def _reserved(self) -> set[str]:
        return {"messages", *inspect.signature(self._tokenizer.apply_chat_template).parameters} - {"kwargs"}

    @cached_property
    def _longest(self) -> int:
        """The characters of the longest token."""
        return max(map(len, self._tokenizer.get_vocab()))

    @cached_property
    def _special(self) -> re.Pattern[str] | None:
        tokens = {str(token) for token in self._tokenizer.get_added_vocab()} | set(self._tokenizer.all_special_tokens)
        # Longest first: a token may begin with another.
        tokens = {token for token in tokens if len(token) > 1 and not token.isspace()}
        spelled = sorted(tokens, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, spelled))) if spelled else None


def text_of(message: Message) -> str:
    """Return a message's text, its parts joined by lines as vLLM does; parts that are no text are left out."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content or ""
