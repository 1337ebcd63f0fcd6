"""Server-sent events on their way from vLLM to the client.

Bytes are passed on as they come, cut only between events: a client never sees half of one, so that an error can always
follow as an event of its own. Nothing is parsed but the one event that citations go into.
"""

from __future__ import annotations

from typing import Any

import orjson

from serving.gateway.errors import ApiError

DONE = b"data: [DONE]\n\n"
_END = b"\n\n"
# Every event but the last ones of an answer holds this: vLLM writes JSON without spaces.
_UNFINISHED = b'"finish_reason":null'


class Events:
    """The events of one answer, passed on unchanged."""

    def __init__(self) -> None:
        self._rest = b""
        self.done = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the answer; return those that can be sent on: whole events, or nothing."""
        data = self._rest + data
        end = data.rfind(_END)
        length = end + len(_END) if end >= 0 else 0
        data, self._rest = data[:length], data[length:]
        if data.endswith(DONE):
            self.done = True
        return self._changed(data)

    def break_off(self, error: ApiError) -> bytes:
        """Return what ends an answer that vLLM did not end: the error, as an event, and the end mark."""
        return self._held() + error.event + DONE

    def _changed(self, data: bytes) -> bytes:
        return data

    def _held(self) -> bytes:
        return b""


class CitedEvents(Events):
    """Adds fields to the last event before the end mark.

    The last event is the one with the finish reason, or the one with the token counts after it. An event of our own
    would have no choices, and clients that read ``chunk.choices[0]`` of every chunk would break.

    Args:
        fields: What to add.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__()
        self._fields = fields
        self._last = b""

    def _changed(self, data: bytes) -> bytes:
        if not self._last and not self.done and data.count(_UNFINISHED) == data.count(_END):
            return data
        sent = []
        for event in data.split(_END)[:-1]:
            if event + _END == DONE:
                sent += [self._cited(self._last), DONE]
                self._last = b""
                continue
            if self._last:
                sent.append(self._last)
                self._last = b""
            if _UNFINISHED in event:
                sent.append(event + _END)
            else:
                self._last = event + _END
        return b"".join(sent)

    def _cited(self, event: bytes) -> bytes:
        if not event.startswith(b"data: {"):
            return event
        content = orjson.loads(event[len(b"data: ") :])
        if "error" in content:
            return event
        return b"data: " + orjson.dumps(content | self._fields) + _END

    def _held(self) -> bytes:
        held, self._last = self._last, b""
        return held
