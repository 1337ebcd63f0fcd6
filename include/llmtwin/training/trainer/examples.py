"""A dataset's rows as trl wants them."""

from __future__ import annotations

from typing import Any

from datasets import Dataset as Examples

from llmtwin.datasets import Dataset


def examples(
    dataset: Dataset, split: str, config: str, tokenizer: Any, max_length: int, limit: int | None = None
) -> Examples:
    """Return the conversations of a split, without the columns that say where they are from.

    What is longer than a sequence is left out: cut off, it would teach the model to break off in the middle, and one
    whose prompt alone is too long would teach it nothing.

    Args:
        dataset: Where from.
        split: ``train`` or ``validation``.
        config: ``sft`` (prompt and completion) or ``preferences`` (prompt, chosen and rejected).
        tokenizer: Counts tokens, with its chat template.
        max_length: Tokens of a sequence.
        limit: At most so many, spread evenly over the split.
    """
    answers = ("completion",) if config == "sft" else ("chosen", "rejected")

    def fits(row: dict[str, Any]) -> bool:
        texts = (tokenizer.apply_chat_template([*row["prompt"], *row[answer]], return_dict=False) for answer in answers)
        return all(len(tokens) <= max_length for tokens in texts)

    rows = [row for row in dataset.rows(split, config=config) if fits(row)]
    if limit is not None and len(rows) > limit:
        rows = [rows[number * len(rows) // limit] for number in range(limit)]
    return Examples.from_list([{column: row[column] for column in ("prompt", *answers)} for row in rows])
