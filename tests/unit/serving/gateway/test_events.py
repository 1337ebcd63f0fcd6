"""Streams are cut between events only, and citations go into the last one."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.errors import ApiError
from serving.gateway.events import DONE, CitedEvents, Events

FIELDS = {"citations": [{"index": 1, "link": "https://example.com/ä"}], "rag": {"notes": []}}


def event(**content: Any) -> bytes:
    return b"data: " + json.dumps(content, separators=(",", ":")).encode() + b"\n\n"


def piece(text: str, finish: str | None = None, index: int = 0) -> bytes:
    return event(id="c", choices=[{"index": index, "delta": {"content": text}, "finish_reason": finish}])


USAGE = event(id="c", choices=[], usage={"total_tokens": 3})
STREAMS = {
    "plain": [piece("a"), piece('"finish_reason":null'), piece("", "stop")],
    "with token counts": [piece("a"), piece("", "stop"), USAGE],
    "two choices": [piece("a"), piece("", "stop", 0), piece("b", None, 1), piece("", "length", 1)],
    "continuous token counts": [
        event(id="c", choices=[{"delta": {"content": "a"}, "finish_reason": None}], usage={"total_tokens": 1}),
        piece("", "stop"),
        USAGE,
    ],
    "nothing": [piece("", "stop")],
}


def fed(events: Events, data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [events.feed(data[start:end]) for start, end in pairwise(places)]


@pytest.mark.parametrize("name", STREAMS)
@given(cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_bytes_pass_unchanged_and_never_half_an_event(name: str, cuts: list[int]) -> None:
    events = Events()
    data = b"".join(STREAMS[name]) + DONE
    sent = fed(events, data, cuts)
    assert b"".join(sent) == data
    assert all(part.endswith(b"\n\n") for part in sent if part)
    assert events.done


@pytest.mark.parametrize("name", STREAMS)
@given(cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_citations_go_into_the_last_event_before_the_end_mark(name: str, cuts: list[int]) -> None:
    *before, last = STREAMS[name]
    sent = b"".join(fed(CitedEvents(FIELDS), b"".join([*before, last]) + DONE, cuts))
    assert sent.startswith(b"".join(before))
    cited, done, rest = sent[len(b"".join(before)) :].split(b"\n\n")
    assert json.loads(cited.removeprefix(b"data: ")) == json.loads(last.removeprefix(b"data: ")) | FIELDS
    assert (done + b"\n\n", rest) == (DONE, b"")


def test_words_are_not_held_back() -> None:
    events = CitedEvents(FIELDS)
    assert events.feed(piece("a")) == piece("a")
    assert events.feed(piece("b")) == piece("b")
    assert events.feed(piece("", "stop")) == b""


@pytest.mark.parametrize("events", [Events(), CitedEvents(FIELDS)], ids=["plain", "cited"])
def test_what_breaks_off_ends_with_an_error_between_whole_events(events: Events) -> None:
    whole = piece("a") + piece("", "stop")
    sent = events.feed(whole + b'data: {"id":"ha')
    error = ApiError(502, "gone", code="model_broke_off")
    sent += events.break_off(error)
    assert not events.done
    assert sent == whole + error.event + DONE


def test_an_error_of_the_model_is_not_cited() -> None:
    error = event(error={"message": "out of memory"})
    assert CitedEvents(FIELDS).feed(piece("a") + error + DONE) == piece("a") + error + DONE
