"""``POST /v1/feedback``: what somebody thinks of an answer."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from llmtwin.errors import TraceError
from llmtwin.traces import Feedback, Thumbs, key_digest
from serving.gateway.completions import ERRORS
from serving.gateway.errors import ApiError
from serving.gateway.monitoring.monitor import Monitor

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1", responses=ERRORS)


class FeedbackRequest(BaseModel):
    """An opinion of an answer."""

    model_config = ConfigDict(extra="forbid")

    trace_id: str = Field(max_length=64, description="the answer's `x-llmtwin-trace-id`")
    thumbs: Thumbs
    corrected_text: str | None = Field(default=None, max_length=100_000, description="what it should have been")
    comment: str | None = Field(default=None, max_length=10_000)


class FeedbackAnswer(BaseModel):
    """What was kept."""

    trace_id: str
    thumbs: Thumbs


@router.post("/feedback")
async def feedback(request: Request, body: FeedbackRequest) -> FeedbackAnswer:
    """Keep an opinion of an answer; sent again with the same API key, it takes the earlier one's place."""
    monitor: Monitor = request.app.state.monitor
    trace_id = body.trace_id.lower().replace("-", "")
    try:
        if not await monitor.knows(trace_id):
            raise ApiError(
                404,
                f"there is no trace {body.trace_id!r}: send the x-llmtwin-trace-id of an answer; traces are kept for "
                "a while only",
                code="trace_not_found",
                param="trace_id",
            )
        given = Feedback(
            trace_id=trace_id,
            thumbs=body.thumbs,
            corrected_text=body.corrected_text or None,
            comment=body.comment or None,
            key=key_digest(request.state.key),
        )
        await monitor.judge(given)
    except TraceError as error:
        log.error("no feedback", reason=str(error))
        raise ApiError(
            503, "feedback cannot be kept now: try again in a moment", code="feedback_unavailable"
        ) from error
    return FeedbackAnswer(trace_id=trace_id, thumbs=body.thumbs)
