"""No request waits for its trace, whatever becomes of it; what is lost is counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from tests.traces import feedback
from uuid6 import uuid7

from llmtwin import traces
from llmtwin.errors import TraceError
from llmtwin.settings import Settings
from serving.gateway.metrics import Metrics
from serving.gateway.monitoring import Monitor
from serving.gateway.monitoring.destination import Entry
from serving.gateway.trace import Trace


class Held:
    """A destination that writes when it is let, or refuses."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.busy = threading.Event()
        self.refuses = False
        self.written: list[Entry] = []
        self.closed = False

    def write(self, entries: Sequence[Entry]) -> None:
        self.busy.set()
        assert self.free.wait(20)
        if self.refuses:
            raise TraceError("the disk is full")
        self.written.extend(entries)

    def idle(self) -> None:
        pass

    def knows(self, trace_id: str) -> bool:
        return any(entry.trace_id == trace_id for entry in self.written)

    def close(self) -> None:
        self.closed = True


def asked(**fields: Any) -> Trace:
    return Trace(uuid7().hex, "/v1/chat/completions", **fields)


def counted(metrics: Metrics) -> dict[str, float]:
    return {
        sample.labels["outcome"]: sample.value
        for metric in metrics.traces.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


def test_nobody_waits_for_a_slow_disk_and_what_finds_no_room_is_counted() -> None:
    held, metrics = Held(), Metrics()

    async def scenario() -> None:
        async with Monitor(Settings(), held, metrics, size=3) as monitor:
            await monitor.record(asked())
            assert await asyncio.to_thread(held.busy.wait, 20)
            for _ in range(10):
                await monitor.record(asked())  # three find room, seven do not
            assert not held.written
            with pytest.raises(TraceError, match="too much is waiting"):
                await monitor.judge(feedback("a" * 32))
            held.free.set()

    asyncio.run(scenario())
    assert len(held.written) == 4
    assert held.closed
    assert counted(metrics) == {"kept": 4, "dropped": 7}


def test_a_store_that_refuses_costs_traces_and_nothing_else() -> None:
    held, metrics = Held(), Metrics()
    held.free.set()
    held.refuses = True

    async def scenario() -> None:
        async with Monitor(Settings(), held, metrics) as monitor:
            await monitor.record(asked())
            with pytest.raises(TraceError, match="the disk is full"):
                await monitor.judge(feedback("a" * 32))
            held.refuses = False
            await monitor.judge(feedback("b" * 32))

    asyncio.run(scenario())
    assert [entry.trace_id for entry in held.written] == ["b" * 32]
    assert counted(metrics) == {"failed": 2, "kept": 1}


def test_a_trace_that_makes_no_sense_costs_itself() -> None:
    """vLLM's answer may hold anything."""
    held, metrics = Held(), Metrics()
    held.free.set()

    async def scenario() -> None:
        async with Monitor(Settings(), held, metrics) as monitor:
            await monitor.record(asked(usage=["no", "counts"]))
            await monitor.record(asked())

    asyncio.run(scenario())
    assert len(held.written) == 1
    assert counted(metrics) == {"failed": 1, "kept": 1}


def test_who_stops_waiting_stops_nobody_else() -> None:
    held = Held()

    async def scenario() -> None:
        async with Monitor(Settings(), held, Metrics()) as monitor:
            impatient = asyncio.create_task(monitor.judge(feedback("a" * 32)))
            assert await asyncio.to_thread(held.busy.wait, 20)
            second = asyncio.create_task(monitor.judge(feedback("b" * 32)))
            await asyncio.sleep(0)
            third = asyncio.create_task(monitor.judge(feedback("c" * 32)))
            await asyncio.sleep(0)
            impatient.cancel()
            second.cancel()
            held.free.set()
            await third

    asyncio.run(scenario())
    assert held.written[-1].trace_id == "c" * 32


def test_everything_that_waits_is_written_before_the_end() -> None:
    held = Held()
    held.free.set()
    sent = [asked() for _ in range(450)]

    async def scenario() -> None:
        async with Monitor(Settings(), held, Metrics()) as monitor:
            for trace in sent:
                await monitor.record(trace)

    asyncio.run(scenario())
    assert [entry.trace_id for entry in held.written] == [trace.trace_id for trace in sent]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_is_traced_the_same_at_every_call_and_failures_always(share: float) -> None:
    monitor = Monitor(Settings(trace_sample=share), Held(), Metrics())
    requests = [asked() for _ in range(4_000)]
    wanted = [monitor.wants(trace) for trace in requests]
    assert wanted == [monitor.wants(trace) for trace in requests]
    assert sum(wanted) == pytest.approx(4_000 * share, abs=200)
    assert all(monitor.wants(asked(status=status)) for status in (400, 499, 502))


def test_feedback_waits_a_moment_for_its_trace() -> None:
    held = Held()
    trace = asked()

    async def scenario() -> bool:
        async with Monitor(Settings(), held, Metrics()) as monitor:
            await monitor.record(trace)
            looking = asyncio.create_task(monitor.knows(trace.trace_id))
            await asyncio.sleep(0)
            held.free.set()
            return await looking and not await monitor.knows("f" * 32) and not await monitor.knows(uuid7().hex)

    assert asyncio.run(scenario())
    assert isinstance(held.written[0], traces.Trace)
