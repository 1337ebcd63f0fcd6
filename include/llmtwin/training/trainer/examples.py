"""A dataset's rows as trl wants them."""

from __future__ import annotations

from datasets import Dataset as Examples

from llmtwin.datasets import Dataset


def examples(dataset: Dataset, split: str, config: str = "sft", limit: int | None = None) -> Examples:
    """Return the conversations of a split, without the columns that say where they are from.

    Args:
        dataset: Where from.
        split: ``train`` or ``validation``.
        config: ``sft`` (prompt and completion) or ``preferences`` (prompt, chosen and rejected).
        limit: At most so many, spread evenly over the split.
    """
    columns = ("prompt", "completion") if config == "sft" else ("prompt", "chosen", "rejected")
    rows = dataset.rows(split, config=config)
    if limit is not None and len(rows) > limit:
        rows = [rows[number * len(rows) // limit] for number in range(limit)]
    return Examples.from_list([{column: row[column] for column in columns} for row in rows])
