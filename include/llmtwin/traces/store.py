"""Traces and the feedback on them, as one reads them together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from llmtwin.settings import Settings
from llmtwin.traces.journal import Journal
from llmtwin.traces.records import Feedback, Thumbs, Trace

# A trace is written when its request has ended. Whoever asks for made-up ids makes us read no more than these files.
_LONGEST_REQUEST = timedelta(hours=6)


@dataclass(frozen=True)
class JudgedTrace:
    """A trace with the latest feedback of each key."""

    trace: Trace
    feedback: list[Feedback] = field(default_factory=list)

    @property
    def thumbs(self) -> set[Thumbs]:
        """What people thought of it."""
        return {one.thumbs for one in self.feedback}


class TraceStore:
    """The traces of an installation, on this machine.

    Feedback has a journal of its own with a tenth of the room, so that no flood of requests drives it out.

    Args:
        settings: Where, and how much.
    """

    def __init__(self, settings: Settings) -> None:
        for_feedback = max(1, settings.traces_max_bytes // 10)
        self.traces = Journal(settings.traces / "traces", Trace, settings.traces_max_bytes - for_feedback)
        self.feedback = Journal(settings.traces / "feedback", Feedback, for_feedback)

    def newest_first(self, since: datetime | None = None, thumbs: Thumbs | None = None) -> Iterator[JudgedTrace]:
        """Yield traces with their feedback, the newest first.

        Args:
            since: Only those that began at this time or later.
            thumbs: Only those that got such feedback.
        """
        judged = _latest(self.feedback.newest_first())
        for trace in self.traces.newest_first():
            if since is not None and trace.started_at < since:
                continue
            found = JudgedTrace(trace, judged.get(trace.trace_id, []))
            if thumbs is None or thumbs in found.thumbs:
                yield found

    def find(self, trace_id: str) -> JudgedTrace | None:
        """Return a trace with its feedback, if it is kept."""
        began = time_of(trace_id)
        if began is None:
            return None
        trace = next(self.traces.find(trace_id, began, began + _LONGEST_REQUEST), None)
        if trace is None:
            return None
        return JudgedTrace(trace, _latest(self.feedback.find(trace_id, began)).get(trace_id, []))

    def close(self) -> None:
        """Let go of what this process writes to."""
        self.traces.close()
        self.feedback.close()


def time_of(trace_id: str) -> datetime | None:
    """Return when a trace began: the first 48 bits of a UUIDv7 are milliseconds (RFC 9562). None for any other id."""
    try:
        known = UUID(trace_id)
        return datetime.fromtimestamp((known.int >> 80) / 1000, UTC) if known.version == 7 else None
    except (ValueError, OverflowError):
        return None


def _latest(feedback: Iterator[Feedback]) -> dict[str, list[Feedback]]:
    latest: dict[tuple[str, str | None], Feedback] = {}
    for one in feedback:
        known = latest.setdefault((one.trace_id, one.key), one)
        if one.created_at > known.created_at:
            latest[one.trace_id, one.key] = one
    by_trace: dict[str, list[Feedback]] = {}
    for one in latest.values():
        by_trace.setdefault(one.trace_id, []).append(one)
    return by_trace
