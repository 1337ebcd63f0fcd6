"""Preference triples for DPO: the author's own text is chosen, the teacher's imitation is rejected.

Rafailov et al., Direct Preference Optimization, 2023. Both answer the same instruction at about the same length, so
that what remains to prefer is the voice.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import regex

from llmtwin.datasets.compose import Asked, Composer
from llmtwin.datasets.duplicates import similar_pairs
from llmtwin.datasets.rows import Row, answer, origin
from llmtwin.datasets.split import Split
from llmtwin.datasets.teacher import Task, Teacher, text_in, text_schema

_WORD = regex.compile(r"[\p{L}\p{N}]+")
_MAX_TOKENS_PER_WORD = 3
_ROOM_FOR_JSON = 100
# Of the length of the author's text, in words.
_SHORTEST, _LONGEST = 0.4, 2.5
# From here on, the imitation is the text itself.
_ALIKE = 0.5


def preferences(
    asked: Mapping[Split, Sequence[Asked]], teacher: Teacher, composer: Composer, removed: Counter[str]
) -> dict[Split, list[Row]]:
    """Return rows for train and validation, drawn by lot among the instructions.

    Args:
        asked: The instructions of each split.
        teacher: Who imitates.
        composer: Knows the authors, the seed and how many are wanted.
        removed: Where those left out are counted.

    Raises:
        TeacherError: See `Teacher.ask`.
    """
    options = composer.options
    wanted = {Split.TRAIN: options.preferences, Split.VALIDATION: round(options.preferences * options.validation_share)}
    result: dict[Split, list[Row]] = {}
    for split, most in wanted.items():
        draw = random.Random(f"preferences:{options.seed}:{split}")
        places = sorted(draw.sample(range(len(asked[split])), min(most, len(asked[split]))))
        chosen = [asked[split][place] for place in places]
        imitations = teacher.ask([_task(one, composer) for one in chosen], f"preferences of {split}")
        removed["an imitation that is unusable"] += imitations.count(None)
        pairs = zip(chosen, imitations, strict=True)
        result[split] = [_row(one, text, teacher, composer) for one, text in pairs if text is not None]
    return result


def _row(one: Asked, imitation: str, teacher: Teacher, composer: Composer) -> Row:
    author = composer.author(one.extract)
    return {
        "prompt": composer.prompt(author, one.instruction),
        "chosen": answer(one.extract.text),
        "rejected": answer(imitation),
        **origin(one.extract, author, "preference", teacher.model),
    }


def _task(one: Asked, composer: Composer) -> Task[str]:
    words = len(_WORD.findall(one.extract.text))
    messages = composer.prompt(composer.author(one.extract), one.instruction)
    messages[0] |= {
        "content": f"{messages[0]['content']}\n\nWrite about {words} words, in the language of the instruction. "
        'Answer with JSON only: {"answer": "…"}'
    }

    def read(parsed: dict[str, Any]) -> str:
        text = text_in(parsed, "answer")
        if not _SHORTEST * words <= len(_WORD.findall(text)) <= _LONGEST * words:
            raise ValueError("an imitation that is much longer or shorter than the text")
        if composer.tokenizer.has_special(text):
            raise ValueError("an imitation with special tokens")
        if any(similar_pairs([one.extract.text, text], _ALIKE)):
            raise ValueError("an imitation that is the text itself")
        return text

    most = _ROOM_FOR_JSON + words * _MAX_TOKENS_PER_WORD
    return Task(messages, text_schema("answer", "in the author's voice"), most, read)
