"""A human's approval, with the reason of a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

ANSWER = "answer"


class ReasonedApprovalOperator(ApprovalOperator):
    """An approval whose answer is kept whatever it is, as XCom ``answer``: ``params_input``, ``responded_by_user``.

    Airflow's own returns the answer, but a refusal skips the tasks behind it, and skipping ends the operator before
    it returns.
    """

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Keep the answer, then do as it says."""
        if "error" not in event:
            context["ti"].xcom_push(ANSWER, {name: event[name] for name in ("params_input", "responded_by_user")})
        return super().execute_complete(context, event)
