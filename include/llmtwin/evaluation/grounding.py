"""Grounding: how much of an answer stands in the passages it was given.

K-Precision: the share of the answer's words that occur in the passages. Of the measures without a language model it
agrees best with what people call faithful (Adlakha and others, Evaluating Correctness and Faithfulness of
Instruction-Following Models for Question Answering, TACL 2024). Here of its content words only, each as often as it
stands there: function words stand in every passage, and would lift every number.
"""

from __future__ import annotations

import regex

from llmtwin.evaluation.words import function_words, prose, words

_PASSAGES = regex.compile(r"<passages-([0-9a-f]+)>\n(.*?)\n</passages-\1>", regex.DOTALL)


def passages_in(message: str) -> str | None:
    """Return the passages fenced in a user's message (`llmtwin.prompt.fence`); None where there are none."""
    found = _PASSAGES.search(message)
    return found[2] if found else None


def grounding(answer: str, passages: str) -> float | None:
    """Return the share of an answer's content words that stand in the passages, 0 to 1; None where it has none."""
    said = content_words(answer)
    held = set(words(passages))
    return sum(word in held for word in said) / len(said) if said else None


def content_words(text: str) -> list[str]:
    """Return the words of prose that are no function words, in order."""
    return [word for word in words(prose(text)) if word not in function_words()]
