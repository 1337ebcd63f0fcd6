"""From extracts to rows: what is asked, what is answered, and with which passages."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from llmtwin.datasets.extracts import Extract
from llmtwin.datasets.instructions import Topics, by_rule, task_of
from llmtwin.datasets.options import Options
from llmtwin.datasets.passages import Found, PassageIndex, fenced
from llmtwin.datasets.prepare import Prepared
from llmtwin.datasets.rows import Message, Row, answer, origin, prompt
from llmtwin.datasets.split import Split
from llmtwin.datasets.teacher import Teacher
from llmtwin.datasets.tokens import Tokenizer
from llmtwin.prompt import with_passages

# Below this, passages say something else than the answer, which would teach to answer beside them.
LEAST_SUPPORT = 0.3
# A passage that holds so much of the answer is cited.
_CITED = 0.2


@dataclass(frozen=True)
class Asked:
    """An extract, and what it answers."""

    extract: Extract
    instruction: str
    teacher: str | None
    """The model that wrote the instruction; None where a rule did."""


@dataclass(frozen=True)
class Composer:
    """Makes rows for one dataset.

    Attributes:
        authors: Full names by id, each spelled in one way.
        index: Over the extracts of training documents.
        tokenizer: The base model's.
        options: Shares and the seed.
    """

    authors: dict[UUID, str]
    index: PassageIndex
    tokenizer: Tokenizer
    options: Options

    def rows(self, asked: Sequence[Asked]) -> list[Row]:
        """Return a row for each, in their order; behind a share of them the same once more, with passages.

        Nothing is there with passages alone: recipes that have no room for passages train on all of the author's text,
        and all of what is held out is measured.
        """
        supported = self._supported(asked)
        rows = []
        for number, one in enumerate(asked):
            rows.append(self._plain(one))
            if number in supported:
                rows.append(supported[number])
        return rows

    def prompt(self, author: str, asked: str, passages: Sequence[Extract] = ()) -> list[Message]:
        """Return what the model is told and asked, in the words of serving; no special token of the model is in it."""
        asked = self.tokenizer.defuse(asked)
        if passages:
            asked = with_passages(asked, fenced(passages, author, self.tokenizer.defuse))
        return prompt(author, asked, has_passages=bool(passages))

    def author(self, extract: Extract) -> str:
        """Return the full name of an extract's author."""
        return self.authors[extract.document.author_id]

    def _plain(self, one: Asked) -> Row:
        author = self.author(one.extract)
        return {
            "prompt": self.prompt(author, one.instruction),
            "completion": answer(one.extract.text),
            **origin(one.extract, author, "instruction", one.teacher),
        }

    def _supported(self, asked: Sequence[Asked]) -> dict[int, Row]:
        """Return the rows with passages by their place: those whose answer the passages support best."""
        most = math.floor(self.options.rag_share * len(asked))
        support: dict[int, float] = {}
        found: dict[int, list[Found]] = {}
        for number, one in enumerate(asked) if most else ():
            found[number] = self.index.supporting(one.instruction, one.extract, max(1, self.options.rag_passages - 1))
            support[number] = max((hit.support for hit in found[number]), default=0.0)
        best = sorted(support, key=lambda number: (-support[number], number))[:most]
        rows = {}
        for number in best:
            if support[number] >= LEAST_SUPPORT:
                rows[number] = self._with_passages(asked[number], found[number])
        return rows

    def _with_passages(self, one: Asked, found: Sequence[Found]) -> Row:
        author = self.author(one.extract)
        draw = random.Random(f"passages:{self.options.seed}:{one.extract.id}")
        hits = [hit.extract for hit in found]
        cited = {hit.extract.id for hit in found if hit.support >= _CITED}
        passages = hits + self.index.others(draw, hits, one.extract, self.options.rag_passages - len(hits))
        draw.shuffle(passages)  # a place must not tell which one is right
        numbers = [number for number, passage in enumerate(passages, 1) if passage.id in cited]
        return {
            "prompt": self.prompt(author, one.instruction, passages),
            "completion": answer(cite(one.extract.text, numbers)),
            **origin(one.extract, author, "rag", one.teacher),
        }


def cite(text: str, numbers: Sequence[int]) -> str:
    """Return a text with the numbers of passages behind it, as the system prompt asks for them."""
    marks = "".join(f"[{number}]" for number in numbers)
    if not marks:
        return text
    return f"{text} {marks}" if text[-1] in ".!?…\"')" else f"{text}\n\n{marks}"


def ask_by_rule(prepared: Prepared, options: Options) -> dict[Split, list[Asked]]:
    """Return every extract with an instruction that needs no teacher."""
    topics = Topics([extract for extracts in prepared.extracts.values() for extract in extracts])
    return {
        split: [Asked(extract, by_rule(extract, topics, options.seed), None) for extract in extracts]
        for split, extracts in prepared.extracts.items()
    }


def ask_by_teacher(prepared: Prepared, teacher: Teacher) -> dict[Split, list[Asked]]:
    """Return every extract with an instruction that the teacher wrote, without those it wrote none for.

    Raises:
        TeacherError: See `Teacher.ask`.
    """
    asked: dict[Split, list[Asked]] = {}
    for split, extracts in prepared.extracts.items():
        written = teacher.ask([task_of(extract) for extract in extracts], f"instructions of {split}")
        pairs = zip(extracts, written, strict=True)
        asked[split] = [Asked(extract, text, teacher.model) for extract, text in pairs if text is not None]
        prepared.removed.answers["an extract without a usable instruction"] += written.count(None)
    return asked
