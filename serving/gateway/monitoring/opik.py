"""Comet's Opik, through its own client: requirements-opik.txt.

The client sends in the background and tries again by itself; each batch is waited for, so that what piles up here is
bounded by the monitor's queue. A trace of ours is one there under the same id, with one span for what the model did;
feedback is a score, 1 or 0, and a later one takes an earlier one's place.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from llmtwin.errors import SettingsError, TraceError
from llmtwin.settings import Settings, redacted
from llmtwin.traces import Feedback, Thumbs, Trace
from serving.gateway.monitoring.destination import Entry

if TYPE_CHECKING:
    from opik import Opik

_FLUSH_SECONDS = 10
# It would tell its makers of every error and of what is used. Whoever wants that sets these.
_QUIET = {"OPIK_SENTRY_ENABLE": "false", "OPIK_ANALYTICS_ENABLE": "false", "OPIK_CONSOLE_LOGGING_LEVEL": "WARNING"}


class OpikDestination:
    """Opik, at Comet or one's own.

    Args:
        settings: Where, with which key, and into which project.

    Raises:
        SettingsError: The client is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        try:
            from opik import Opik
        except ModuleNotFoundError as error:
            raise SettingsError(
                "LLMTWIN_OPIK_URL or LLMTWIN_OPIK_API_KEY is set, and Opik's client is not installed: "
                "`pip install -r requirements-opik.txt`"
            ) from error
        self._where = f"Opik at {redacted(settings.opik_url)}" if settings.opik_url else "Comet's Opik"
        self._project = settings.opik_project
        self._client: Opik = Opik(
            project_name=settings.opik_project,
            workspace=settings.opik_workspace,
            host=settings.opik_url,
            api_key=settings.opik_api_key.get_secret_value() if settings.opik_api_key else None,
            _show_misconfiguration_message=False,
        )

    def write(self, entries: Sequence[Entry]) -> None:
        """Send traces and feedback; see `Destination`."""
        for entry in entries:
            if isinstance(entry, Trace):
                self._trace(entry)
        self._flush()
        if scores := [_score(entry) for entry in entries if isinstance(entry, Feedback)]:
            self._client.log_traces_feedback_scores(scores, project_name=self._project)
            self._flush()

    def idle(self) -> None:
        """Do nothing: the client sends by itself."""

    def knows(self, trace_id: str) -> bool:
        """Return whether Opik has the trace; see `Destination`."""
        from httpx import HTTPError
        from opik.rest_api.core.api_error import ApiError

        try:
            self._client.get_trace_content(str(UUID(trace_id)))
        except ApiError as error:
            if error.status_code == 404:
                return False
            raise TraceError(f"{self._where} answered HTTP {error.status_code}") from error
        except HTTPError as error:
            raise TraceError(f"{self._where} does not answer: {error}") from error
        return True

    def close(self) -> None:
        """Send what is left and end the client's threads."""
        self._client.end(timeout=_FLUSH_SECONDS)

    def _trace(self, trace: Trace) -> None:
        ended = trace.started_at + timedelta(seconds=trace.seconds)
        failed = {"exception_type": f"HTTP {trace.status}", "message": trace.error, "traceback": ""}
        error: Any = failed if trace.error else None
        answer = {"answer": trace.answer} if trace.answer else None
        sent = self._client.trace(
            id=str(UUID(trace.trace_id)),
            name=trace.path,
            start_time=trace.started_at,
            end_time=ended,
            input={"question": trace.question} if trace.question else None,
            output=answer,
            metadata=trace.model_dump(mode="json", include=_METADATA),
            tags=[trace.served] if trace.served else None,
            error_info=error,
        )
        if trace.served:
            before = sum(trace.steps.get(step, 0.0) for step in trace.steps if step not in ("first_token", "total"))
            sent.span(
                name="model",
                type="llm",
                start_time=trace.started_at + timedelta(seconds=min(before, trace.seconds)),
                end_time=ended,
                input={"prompt": trace.prompt} if trace.prompt else None,
                output=answer,
                metadata=trace.parameters,
                usage=trace.usage or None,
                model=trace.served,
                error_info=error,
            )

    def _flush(self) -> None:
        if not self._client.flush(timeout=_FLUSH_SECONDS):
            raise TraceError(f"{self._where} did not take the traces within {_FLUSH_SECONDS} s")


_METADATA = {"key", "model", "served", "passages", "notes", "steps", "status"}


def _score(feedback: Feedback) -> Any:
    corrected = f"Corrected:\n{feedback.corrected_text}" if feedback.corrected_text else None
    return {
        "id": str(UUID(feedback.trace_id)),
        "name": f"thumbs {feedback.key}" if feedback.key else "thumbs",
        "value": 1.0 if feedback.thumbs is Thumbs.UP else 0.0,
        "reason": "\n\n".join(text for text in (feedback.comment, corrected) if text) or None,
    }
