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

PROMOTE = {
    "version": Param(None, **_TEXT, title="Version", description="Of the registry; empty: the newest candidate"),
}

APPROVAL = {
    "reason": Param("", type="string", title="Reason", description="Kept with a version that is rejected"),
}
