"""Traces as the gateway makes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from uuid6 import uuid7

from llmtwin.traces import Feedback, Thumbs, Trace, UsedPassage


def trace(**fields: Any) -> Trace:
    """Return the trace of a request that came in just now."""
    return Trace(
        **{
            "trace_id": uuid7().hex,
            "started_at": datetime.now(UTC),
            "path": "/v1/chat/completions",
            "model": "twin",
            "served": "twin@3",
            "question": "What is a resume token?",
            "passages": [UsedPassage(chunk_id="c1", link="https://example.org/a", score=0.5)],
            "steps": {"search": 0.01, "total": 1.25},
            "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
            **fields,
        }
    )


def feedback(trace_id: str, thumbs: str = "down", **fields: Any) -> Feedback:
    """Return somebody's opinion of an answer."""
    return Feedback(trace_id=trace_id, thumbs=Thumbs(thumbs), **fields)
