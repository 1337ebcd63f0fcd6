"""## promote_twin: a candidate becomes what is served, if a human says so

Runs when `train_twin` has registered candidates, for each of them that no run has taken up, the oldest first; or by
trigger with a version. One at a time, so that each candidate is judged against what is really in production.

| Task | Does |
|---|---|
| `choose` | takes the version of the form; by hand without one, the newest candidate; else the one that waits longest |
| `go_on` | only in runs that nobody asked for: triggers the next one, if another candidate waits |
| `evaluate` | measures candidate, production and base model through the running vLLM; writes the report |
| `gate` | judges the figures by `gate.yaml`; what it rejects skips the human |
| `approve` | waits for a human under *Required Actions*, holding no slot; shows the figures, links the report |
| `promote` | loads it into vLLM, asks it a question through the gateway, then points `twin` to it |
| `archive` | only what gate or human rejected: keeps the reason |

### Runbook
- **Nobody answered** within `LLMTWIN_APPROVAL_DAYS`. `approve` failed and the candidate is as it was: clear `approve`
  to ask again.
- **`promote` failed.** What is served is as it was, and the log says why. vLLM or gateway down: `llmtwin up --with-llm`
  and clear `promote`. "In production by now": another version was promoted since; trigger a new run with this one.
- **`choose` was skipped, or passed over a candidate.** A run that nobody asked for takes up what `train_twin` has made
  and no other run has taken up, whatever came of it. Trigger one with the version.
- **The gate is too strict, or not strict enough.** Copy `include/llmtwin/promotion/gate.yaml`, name the copy in
  `LLMTWIN_GATE_FILE`, clear `gate`.
- **"Is not published"** in the log of `promote`. It serves all the same; `llmtwin registry publish` tries again.
- **The new twin is bad.** `llmtwin rollback` serves the one before, in seconds.
- **What was promoted, and why not?** `llmtwin versions`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from llmtwin.settings import get_settings
from llmtwin_airflow import forms
from llmtwin_airflow.assets import CANDIDATES, PRODUCTION
from llmtwin_airflow.connections import FINAL
from llmtwin_airflow.operators import ANSWER, ReasonedApprovalOperator
from llmtwin_airflow.waiting import NextRunOperator, candidate_waits, is_by_hand, take_up_candidate

SETTINGS = get_settings()


@dag(
    schedule=[CANDIDATES],
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own default time zone
    catchup=False,
    max_active_runs=1,
    params=forms.PROMOTE,
    default_args={"owner": "llmtwin", "retries": 2, "retry_delay": timedelta(seconds=30), "retry_policy": FINAL},
    doc_md=__doc__,
    tags=["llmtwin", "twin"],
    is_paused_upon_creation=False,
)
def promote_twin() -> None:
    @task(inlets=[CANDIDATES])
    def choose() -> str:
        """Return the version that this run is about."""
        from llmtwin import promotion

        context = get_current_context()
        if is_by_hand(context, "version"):
            return promotion.choose(context["params"]["version"], SETTINGS).version
        return take_up_candidate(context)

    @task
    def evaluate(version: str) -> str:
        """Measure it beside production and base model; return the path of the report."""
        from llmtwin import evaluation

        evaluation.evaluate(SETTINGS, version)
        return str(evaluation.folder_of(SETTINGS, version) / "report.html")

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def gate(version: str) -> bool:
        """Judge it; leave what a human is to see behind."""
        from llmtwin import promotion
        from llmtwin_airflow.console import report_path

        decision = promotion.prepare_decision(version, SETTINGS)
        page = promotion.markdown(decision, report_path(version))
        print(page)  # noqa: T201 - a task's output is its log
        seen = {"page": page, "reasons": decision.verdict.reasons, "over": decision.evaluation.production}
        get_current_context()["ti"].xcom_push("seen", seen)
        return decision.verdict.passed

    approve = ReasonedApprovalOperator(
        task_id="approve",
        subject="Serve version {{ ti.xcom_pull(task_ids='choose') }} as twin?",
        body="{{ ti.xcom_pull(task_ids='gate', key='seen')['page'] }}",
        params=forms.APPROVAL,
        response_timeout=timedelta(days=SETTINGS.approval_days),
    )

    @task(outlets=[PRODUCTION])
    def promote() -> dict[str, Any]:
        """Serve it as twin; return what was served before."""
        from llmtwin import promotion

        context = get_current_context()
        pull = context["ti"].xcom_pull
        switch = promotion.promote(pull(task_ids="choose"), SETTINGS, over=pull(task_ids="gate", key="seen")["over"])
        for note in switch.notes:
            print(f"note: {note}")  # noqa: T201 - a task's output is its log
        context["outlet_events"][PRODUCTION].extra = {"version": switch.now, "before": switch.before}
        return {"now": switch.now, "before": switch.before, "answer": switch.answer}

    # Not all_skipped: it would be skipped after a failure too, and a run whose last task is skipped is a success.
    @task(trigger_rule="none_failed")
    def archive() -> str:
        """Lay it aside with the reason of the gate or of the human; nothing to do where it was promoted."""
        from llmtwin import promotion

        pull = get_current_context()["ti"].xcom_pull
        if pull(task_ids="promote") or not pull(task_ids="choose"):
            raise AirflowSkipException("it was promoted, or there is none")
        reason = promotion.rejection(pull(task_ids="gate", key="seen")["reasons"], pull(task_ids="approve", key=ANSWER))
        promotion.reject(pull(task_ids="choose"), reason, SETTINGS)
        return reason

    version = choose()
    evaluate(version) >> gate(version) >> approve >> promote() >> archive()
    version >> NextRunOperator(
        task_id="go_on", trigger_dag_id="promote_twin", field="version", waits=candidate_waits, inlets=[CANDIDATES]
    )


promote_twin()
