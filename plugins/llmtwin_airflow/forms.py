"""What a DAG asks for when it is triggered."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

_LINES: dict[str, Any] = {"type": ["null", "array"], "items": {"type": "string"}}
_TEXT: dict[str, Any] = {"type": ["null", "string"]}
_SWITCH: dict[str, Any] = {"type": "boolean"}

CRAWL = {
    "author": Param(None, **_TEXT, title="Author", description="Full name; empty: all registered"),
    "links": Param(None, **_LINES, title="Links", description="One link a line"),
    "exports": Param(None, **_LINES, title="Exports", description="One name in the folder of imports a line"),
    "drafts": Param(False, **_SWITCH, title="Drafts", description="Of exports: what was never published too"),
    "podcasts": Param(False, **_SWITCH, title="Podcasts", description="Of exports: the notes of episodes too"),
    "site": Param(None, **_TEXT, title="Site", description="Of a Substack export: https://name.substack.com"),
}

TRAIN = {
    "dataset": Param(None, **_TEXT, title="Dataset", description="Author, or name@version; empty: the recipe's"),
    "recipe": Param("smoke", type="string", title="Recipe", description="One that comes with llmtwin, or a YAML file"),
    "changes": Param(
        {}, type="object", title="Changes", description='Knobs other than the recipe says: {"max_steps": 20}'
    ),
}

PROMOTE = {
    "version": Param(None, **_TEXT, title="Version", description="Of the registry; empty: the newest candidate"),
}

APPROVAL = {
    "reason": Param(None, **_TEXT, title="Reason", description="Kept with a version that is rejected"),
}

DATASET = {
    "author": Param(None, **_TEXT, title="Author", description="Full name, or everybody; empty: each author"),
    "teacher": Param(True, **_SWITCH, title="Teacher", description="Ask it, if the settings name one"),
    "rag_share": Param(
        None, type=["null", "number"], minimum=0, maximum=1, title="With passages", description="Share of extracts"
    ),
    "extract_tokens": Param(
        None, type=["null", "integer"], minimum=32, maximum=4096, title="Tokens", description="Of an answer, at most"
    ),
    "seed": Param(0, type="integer", minimum=0, title="Seed", description="Of all that is drawn by lot"),
}
