"""Takes traces from requests and hands them to a thread that writes; no request ever waits for that, or fails by it."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from concurrent.futures import Future
from typing import Self

import structlog
from pydantic import ValidationError

from llmtwin.errors import TraceError
from llmtwin.settings import Settings
from llmtwin.traces import Feedback, time_of
from serving.gateway.metrics import Metrics
from serving.gateway.monitoring.destination import Destination, Entry
from serving.gateway.monitoring.redaction import kept
from serving.gateway.trace import Trace

log = structlog.get_logger(__name__)

# What waits to be written. A trace with its prompt is a few dozen kilobytes.
QUEUE = 2_000
_BATCH = 200
_IDLE_SECONDS = 60.0
# To wake the writer costs the event loop as much as half a request, so it takes what has gathered in this time at once.
_GATHER_SECONDS = 0.05
_JUDGE_SECONDS = 10.0
_CLOSE_SECONDS = 10.0
# A trace is written a moment after its answer has ended, maybe by another process.
_LOOKUPS = 5
_LOOKUP_PAUSE_SECONDS = 0.2

_Item = tuple[Entry, "Future[None] | None"]


class Monitor:
    """A sink for traces, and the keeper of feedback on them. Runs inside ``async with``.

    Args:
        settings: Which share of requests is traced, and whether their content is kept.
        destination: Where it goes.
        metrics: Where it is counted what was kept, dropped for want of room, or could not be written.
        size: How many entries may wait.
    """

    def __init__(self, settings: Settings, destination: Destination, metrics: Metrics, size: int = QUEUE) -> None:
        self._sample = settings.trace_sample
        self._content = settings.trace_content
        self._destination = destination
        self._count = metrics.traces
        self._waiting: queue.Queue[_Item | None] = queue.Queue(size)
        self._thread = threading.Thread(target=self._write, name="traces", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._end)

    def wants(self, trace: Trace) -> bool:
        """Return whether a trace is kept: all that failed, and of the others a share, the same one at every call."""
        if trace.status >= 400:
            return True
        return int(trace.trace_id[-8:], 16) < self._sample * 2**32

    async def record(self, trace: Trace) -> None:
        """Keep a trace; dropped, and counted, if too many wait."""
        try:
            self._waiting.put_nowait((kept(trace, self._content), None))
        except queue.Full:
            self._count.labels("dropped").inc()
        except ValidationError as error:  # of what vLLM answered, say
            log.error("a trace is lost", trace_id=trace.trace_id, reason=str(error.errors()[0]["msg"]))
            self._count.labels("failed").inc()

    async def knows(self, trace_id: str) -> bool:
        """Return whether feedback on this trace makes sense.

        Raises:
            TraceError: That cannot be found out.
        """
        if time_of(trace_id) is None:
            return False  # no id of ours
        for attempt in range(_LOOKUPS):
            if attempt:
                await asyncio.sleep(_LOOKUP_PAUSE_SECONDS)
            if await asyncio.to_thread(self._destination.knows, trace_id):
                return True
        return False

    async def judge(self, feedback: Feedback) -> None:
        """Keep feedback; return once it is kept.

        Raises:
            TraceError: It cannot be kept, or too much is waiting.
        """
        written: Future[None] = Future()
        try:
            self._waiting.put_nowait((feedback, written))
        except queue.Full as error:
            raise TraceError("too much is waiting to be written") from error
        try:
            async with asyncio.timeout(_JUDGE_SECONDS):
                await asyncio.wrap_future(written)
        except TimeoutError as error:
            raise TraceError(f"it was not written within {_JUDGE_SECONDS:.0f} s") from error

    def _write(self) -> None:
        """Write what comes until told to end."""
        running = True
        while running:
            batch, running = self._next()
            if batch:
                self._hand_on(batch)
            elif running:
                self._idle()
        self._destination.close()

    def _next(self) -> tuple[list[_Item], bool]:
        """Return what waits, if only nothing after a while; and whether more may come."""
        batch: list[_Item] = []
        try:
            item = self._waiting.get(timeout=_IDLE_SECONDS)
            if item is not None and self._waiting.qsize() < _BATCH:
                time.sleep(_GATHER_SECONDS)
            while item is not None:
                batch.append(item)
                if len(batch) == _BATCH:
                    return batch, True
                item = self._waiting.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _hand_on(self, batch: list[_Item]) -> None:
        # Who has stopped waiting is told nothing.
        waiting = [written for _, written in batch if written and written.set_running_or_notify_cancel()]
        try:
            self._destination.write([entry for entry, _ in batch])
        except TraceError as error:
            log.error("traces are lost", count=len(batch), reason=str(error))
            self._count.labels("failed").inc(len(batch))
            for written in waiting:
                written.set_exception(error)
            return
        self._count.labels("kept").inc(len(batch))
        for written in waiting:
            written.set_result(None)

    def _idle(self) -> None:
        try:
            self._destination.idle()
        except TraceError as error:
            log.error("traces cannot be rotated", reason=str(error))

    def _end(self) -> None:
        try:
            self._waiting.put(None, timeout=_CLOSE_SECONDS)
        except queue.Full:
            log.error("traces are lost", count=self._waiting.qsize(), reason="they were not written in time")
            return
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            log.error("traces are lost", count=self._waiting.qsize(), reason="they were not written in time")
