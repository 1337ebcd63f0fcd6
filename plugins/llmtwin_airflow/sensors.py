"""Decides whether a micro-batch run has anything to do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowSkipException

if TYPE_CHECKING:
    from airflow.sdk import Context


class QueueDepthSensor(BaseSensorOperator):
    """Succeeds when events wait or an unfinished batch does; skips the run when neither came within the window.

    It only looks at the queue's depth and never consumes, so an event cannot be lost between this task and the next.
    The first look is taken in a worker; the waiting is done in the triggerer and holds no worker.

    Args:
        rabbitmq_conn_id: The broker.
        window_seconds: How long to wait for events.
        poll_seconds: How often to look.
    """

    template_fields = ("rabbitmq_conn_id",)

    def __init__(
        self,
        *,
        rabbitmq_conn_id: str = "rabbitmq_default",
        window_seconds: float = 50.0,
        poll_seconds: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rabbitmq_conn_id = rabbitmq_conn_id
        self.window_seconds = window_seconds
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> None:
        """Return at once when there is work; else wait in the triggerer."""
        from llmtwin.settings import get_settings
        from llmtwin.staging import pending_batches
        from llmtwin_airflow.hooks import RabbitMQHook
        from llmtwin_airflow.triggers import QueueDepthTrigger

        if pending := pending_batches(get_settings().batches):
            self.log.info("%d unfinished batches, the oldest is %s", len(pending), pending[0].id)
            return
        if depth := RabbitMQHook(self.rabbitmq_conn_id).queue_depth():
            self.log.info("%d events wait", depth)
            return
        self.defer(
            trigger=QueueDepthTrigger(self.rabbitmq_conn_id, self.window_seconds, self.poll_seconds),
            method_name="execute_complete",
            # A triggerer that died must not leave the run hanging: its successor gets a little longer than the window.
            timeout=timedelta(seconds=self.window_seconds + 60),
        )

    def execute_complete(self, context: Context, event: Any = None) -> None:
        """Repeat the trigger's verdict. The triggerer ends the task itself; only ``dag.test()`` comes through here.

        Raises:
            AirflowSkipException: No event came.
        """
        if event == "skipped":
            raise AirflowSkipException(f"no events within {self.window_seconds:g} s")
