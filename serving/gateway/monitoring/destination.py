"""Where records go, seen from the one thread that writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from llmtwin.settings import Settings
from llmtwin.traces import Feedback, Trace, TraceStore

Entry = Trace | Feedback


class Destination(Protocol):
    """Keeps records. All but ``knows`` are called by one thread only, and may take their time."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Keep these, in this order.

        Raises:
            TraceError: They cannot be kept.
        """

    def idle(self) -> None:
        """Do what is due when nothing has come for a while.

        Raises:
            TraceError: It cannot be done.
        """

    def knows(self, trace_id: str) -> bool:
        """Return whether this trace was kept.

        Raises:
            TraceError: That cannot be found out.
        """

    def close(self) -> None:
        """End."""


class LocalDestination:
    """The journals on this machine, which ``llmtwin traces`` reads."""

    def __init__(self, settings: Settings) -> None:
        self._store = TraceStore(settings)

    def write(self, entries: Sequence[Entry]) -> None:
        """See `Destination`."""
        if traces := [entry for entry in entries if isinstance(entry, Trace)]:
            self._store.traces.append(traces)
        if feedback := [entry for entry in entries if isinstance(entry, Feedback)]:
            self._store.feedback.append(feedback)

    def idle(self) -> None:
        """See `Destination`."""
        self._store.traces.rotate()
        self._store.feedback.rotate()

    def knows(self, trace_id: str) -> bool:
        """See `Destination`."""
        return self._store.find(trace_id) is not None

    def close(self) -> None:
        """See `Destination`."""
        self._store.close()
