"""Questions of a list, answered by the teacher from what the author wrote.

The method is that of Decoding ML's financial assistant: questions are given, context is retrieved, and a stronger model
answers. The answers are the only texts a twin learns from that their author did not write.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import regex
import yaml

from llmtwin.datasets.compose import Composer
from llmtwin.datasets.extracts import Extract
from llmtwin.datasets.instructions import title_of
from llmtwin.datasets.rows import Row, answer, origin
from llmtwin.datasets.teacher import Task, Teacher, text_in, text_schema
from llmtwin.errors import DatasetError

if TYPE_CHECKING:
    from collections import Counter

    from llmtwin.settings import Settings

_OWN = Path(__file__).with_name("questions.yaml")
_TOPIC = "{topic}"
_TOLD = (
    "Answer in 60 to 150 words, from the passages alone, in the language of the passages. Name the number of every "
    "passage that you use, like [1]. If the passages do not answer the question, give an empty answer. "
    'Write JSON only: {"answer": "…"}'
)
_MAX_TOKENS = 600
_SHORTEST, _LONGEST = 20, 300
_WORD = regex.compile(r"[\p{L}\p{N}]+")
_MARK = regex.compile(r"\[(\d+)\]")


def read_questions(settings: Settings) -> list[str]:
    """Return the predefined questions.

    Raises:
        DatasetError: The file that the settings name is missing, or holds something else.
    """
    file = settings.home / (settings.dataset_questions_file or _OWN)
    try:
        found = yaml.safe_load(file.read_text())["questions"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise DatasetError(f"{file} holds no list of `questions` ({error}): see {_OWN.name}") from error
    if not isinstance(found, list) or not all(isinstance(one, str) and one.strip() for one in found):
        raise DatasetError(f"{file}: `questions` must be a list of texts: see {_OWN.name}")
    return [" ".join(one.split()) for one in found]


def expanded(questions: Sequence[str], extracts: Sequence[Extract], most: int) -> list[str]:
    """Return so many questions at most: those without a topic, then the others about one topic after the other.

    Args:
        questions: As they are in the file.
        extracts: Of training documents, whose titles are the topics.
        most: How many.
    """
    plain = [one for one in questions if _TOPIC not in one]
    about = [one for one in questions if _TOPIC in one]
    titles = list(dict.fromkeys(title for one in reversed(extracts) if (title := title_of(one.document))))
    if about and titles:
        plain += [one.replace(_TOPIC, f'"{title}"') for one, title in zip(cycle(about), titles, strict=False)]
    return list(islice(dict.fromkeys(plain), most))


def answered(
    questions: Sequence[str], author_id: object, teacher: Teacher, composer: Composer, removed: Counter[str]
) -> list[Row]:
    """Return a row for each question that the author's writing answers.

    Args:
        questions: Without topics to fill in.
        author_id: Whose writing.
        teacher: Who answers.
        composer: Knows the passages.
        removed: Where those left out are counted.

    Raises:
        TeacherError: See `Teacher.ask`.
    """
    asked: list[tuple[list[dict[str, str]], Extract, Task[str]]] = []
    for question in questions:
        passages = composer.index.search(question, composer.options.rag_passages, author_id)
        if not passages:
            removed["a question without passages"] += 1
            continue
        author = composer.author(passages[0])
        messages = composer.prompt(author, question, passages)
        told = [{"role": "system", "content": f"{messages[0]['content']}\n\n{_TOLD}"}, messages[1]]
        asked.append((messages, passages[0], _task(told, len(passages), composer)))
    texts = teacher.ask([task for _, _, task in asked], "questions")
    rows = []
    for (messages, best, _), text in zip(asked, texts, strict=True):
        if text:
            source = origin(best, composer.author(best), "question", teacher.model)
            rows.append({"prompt": messages, "completion": answer(text), **source})
        elif text is None:
            removed["a question without a usable answer"] += 1
        else:
            removed["a question that the passages do not answer"] += 1
    return rows


def _task(messages: list[dict[str, str]], passages: int, composer: Composer) -> Task[str]:
    def read(parsed: dict[str, Any]) -> str:
        text = text_in(parsed, "answer")
        if not text:
            return ""
        if not _SHORTEST <= len(_WORD.findall(text)) <= _LONGEST:
            raise ValueError("not the length of an answer")
        cited = {int(number) for number in _MARK.findall(text)}
        if not cited or max(cited) > passages or min(cited) < 1:
            raise ValueError("an answer that cites no passage, or one that is not there")
        if composer.tokenizer.has_special(text):
            raise ValueError("an answer with special tokens")
        return text

    return Task(messages, text_schema("answer", "with the numbers of the passages used"), _MAX_TOKENS, read)
