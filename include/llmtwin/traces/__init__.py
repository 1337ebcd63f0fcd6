"""What was asked of the twin, what it answered, and what people thought of it, on this machine and bounded in size."""

from llmtwin.traces.journal import Journal
from llmtwin.traces.records import Feedback, Thumbs, Trace, UsedPassage, key_digest
from llmtwin.traces.store import JudgedTrace, TraceStore, time_of

__all__ = [
    "Feedback",
    "Journal",
    "JudgedTrace",
    "Thumbs",
    "Trace",
    "TraceStore",
    "UsedPassage",
    "key_digest",
    "time_of",
]
