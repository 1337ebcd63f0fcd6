"""What a language model makes of a question: other wordings of it, and what it asks for besides words.

Its answers only ever add searches or narrow them. Whatever it invents (an author, a platform, no JSON at all) is left
out and noted.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmtwin.documents import Kind
from llmtwin.errors import LlmtwinError

# Chat messages and a JSON schema, or None for plain text, to the model's answer.
Complete = Callable[[list[dict[str, str]], dict[str, Any] | None], Awaitable[str]]

_LONGEST_WORDING = 500
_Answer = TypeVar("_Answer", bound=BaseModel)


class _Rephrasings(BaseModel):
    rephrasings: list[str]


class Constraints(BaseModel):
    """What a question says about the texts that may answer it."""

    model_config = ConfigDict(frozen=True)

    author: str | None = Field(default=None, description="name of the author that the question asks about")
    kinds: list[Kind] = Field(default_factory=list, description="post, article or repository (code); empty for all")
    platform: str | None = Field(default=None, description="where it was published, such as medium.com")
    published_from: date | None = Field(default=None, description="first day, YYYY-MM-DD")
    published_before: date | None = Field(default=None, description="day after the last, YYYY-MM-DD")


@dataclass(frozen=True)
class Scope:
    """Constraints that hold against what is stored."""

    author_ids: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    platforms: tuple[str, ...] = ()
    published_from: datetime | None = None
    published_before: datetime | None = None

    @property
    def narrows(self) -> bool:
        """Whether anything is left out."""
        return self != Scope()


async def rephrase(question: str, count: int, complete: Complete, notes: list[str]) -> list[str]:
    """Return up to `count` other wordings of a question; fewer, with a note, where the model does not give them."""
    schema = {
        "type": "object",
        "properties": {
            "rephrasings": {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": _LONGEST_WORDING},
                "minItems": count,
                "maxItems": count,
            }
        },
        "required": ["rephrasings"],
        "additionalProperties": False,
    }
    told = (
        f"Write {count} other wordings of the question you are given, for a search: the same meaning, other words, in "
        'the language of the question. Answer with JSON only: {"rephrasings": ["…"]}'
    )
    answer = await _ask(told, question, schema, _Rephrasings, complete, "the question was not rephrased", notes)
    found = dict.fromkeys(" ".join(one.split())[:_LONGEST_WORDING] for one in answer.rephrasings) if answer else {}
    return [one for one in found if one and one.casefold() != question.casefold()][:count]


async def read_constraints(question: str, complete: Complete, notes: list[str]) -> Constraints:
    """Return what a question says about author, kind, platform and time; nothing, with a note, where that fails."""
    told = (
        f"Today is {datetime.now(UTC):%Y-%m-%d}. Say which texts the question you are given asks for: author, kinds, "
        "platform, time of publication. Fill in only what the question says; leave the rest null or empty. "
        "Answer with JSON only."
    )
    schema = Constraints.model_json_schema()
    answer = await _ask(told, question, schema, Constraints, complete, "nothing was read from the question", notes)
    return answer or Constraints()


def settle(
    asked: Constraints, authors: Mapping[UUID, str], platforms: frozenset[str], kinds: list[Kind], notes: list[str]
) -> Scope:
    """Return the constraints as far as they name what is stored; the others are noted.

    Args:
        asked: By the question.
        authors: Everybody whose writing is stored. Nobody is added.
        platforms: All there are.
        kinds: Those that may be searched.
        notes: Where to say what is left out.
    """
    author_ids: tuple[str, ...] = ()
    if asked.author:
        author_ids = tuple(str(id_) for id_ in find_author(asked.author, authors))
        if not author_ids:
            notes.append(f"the question seems to ask for {asked.author!r}, who is not among the authors: left out")
    chosen: tuple[str, ...] = ()
    if asked.platform:
        name = asked.platform.casefold().strip()
        chosen = tuple(sorted(one for one in platforms if name in (one, *one.split("."))))
        if not chosen:
            notes.append(f"the question seems to ask for {asked.platform!r}, where nothing was published: left out")
    return Scope(
        author_ids=author_ids,
        kinds=tuple(kind for kind in kinds if kind in asked.kinds),
        platforms=chosen,
        published_from=_midnight(asked.published_from),
        published_before=_midnight(asked.published_before),
    )


def find_author(name: str, authors: Mapping[UUID, str]) -> list[UUID]:
    """Return the author of this name, whole or a part that only one of them has; nobody else."""
    words = name.casefold().split()
    whole = [id_ for id_, known in authors.items() if known.casefold().split() == words]
    part = [id_ for id_, known in authors.items() if words and set(words) <= set(known.casefold().split())]
    return whole or (part if len(part) == 1 else [])


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time(), UTC) if day else None


async def _ask(
    told: str,
    question: str,
    schema: dict[str, Any],
    model: type[_Answer],
    complete: Complete,
    undone: str,
    notes: list[str],
) -> _Answer | None:
    messages = [
        {"role": "system", "content": told},
        {"role": "user", "content": f"The question: {json.dumps(question, ensure_ascii=False)}"},
    ]
    try:
        return model.model_validate_json(await complete(messages, schema))
    except ValidationError:
        notes.append(f"{undone}: the language model did not answer in the form asked for")
    except (LlmtwinError, httpx.HTTPError) as error:
        notes.append(f"{undone}: {str(error) or type(error).__name__}")
    return None
