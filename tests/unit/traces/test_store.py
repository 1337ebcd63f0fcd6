"""Traces and feedback are read together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from tests.traces import feedback, trace
from uuid6 import uuid7

from llmtwin.settings import Settings
from llmtwin.traces import Thumbs, TraceStore, key_digest
from llmtwin.traces.store import time_of


@pytest.fixture
def store(tmp_path: Path) -> TraceStore:
    return TraceStore(Settings(data_dir=tmp_path))


def test_the_latest_feedback_of_a_key_counts_and_keys_do_not_mix(store: TraceStore) -> None:
    kept = trace()
    store.traces.append([kept])
    mine, other = key_digest("jane"), key_digest("joe")
    opinions = [feedback(kept.trace_id, "down", key=mine), feedback(kept.trace_id, "down", key=other)]
    store.feedback.append(opinions)
    store.feedback.rotate(at_once=True)
    store.feedback.append([changed := feedback(kept.trace_id, "up", key=mine)])
    found = store.find(kept.trace_id)
    assert found is not None
    assert found.trace == kept
    assert sorted(found.feedback, key=str) == sorted([changed, opinions[1]], key=str)
    assert [judged.feedback for judged in store.newest_first()] == [found.feedback]


def test_by_time_and_by_thumbs(store: TraceStore) -> None:
    now = datetime.now(UTC)
    old, good, bad = trace(started_at=now - timedelta(days=2)), trace(), trace()
    store.traces.append([old, good, bad])
    store.feedback.append([feedback(good.trace_id, "up"), feedback(bad.trace_id), feedback(old.trace_id)])
    assert [one.trace for one in store.newest_first()] == [bad, good, old]
    assert [one.trace for one in store.newest_first(now - timedelta(hours=1))] == [bad, good]
    assert [one.trace for one in store.newest_first(thumbs=Thumbs.DOWN)] == [bad, old]


@pytest.mark.parametrize("trace_id", ["", "x" * 32, uuid4().hex, uuid7().hex])
def test_what_is_no_trace_is_not_found(store: TraceStore, trace_id: str) -> None:
    store.traces.append([trace()])
    assert store.find(trace_id) is None


def test_an_empty_store(store: TraceStore) -> None:
    assert list(store.newest_first()) == []
    assert store.find(uuid7().hex) is None


def test_the_time_in_an_id() -> None:
    began = time_of(uuid7().hex)
    assert began is not None
    assert abs(datetime.now(UTC) - began) < timedelta(minutes=1)


def test_keys_are_told_apart_and_not_named() -> None:
    assert key_digest("jane") == key_digest("jane") != key_digest("joe")
    assert "jane" not in str(key_digest("jane"))
    assert key_digest(None) is None
