"""## train_twin: a dataset becomes a candidate in somebody's voice

Trigger it with a dataset and a recipe (`include/llmtwin/training/recipes/*.yaml`; docs/training.md explains every
knob). With `LLMTWIN_TRAIN_ON_NEW_DATASET` it runs by itself once datasets are built, for each whose newest version has
no run yet, the oldest first. What it registers, `promote_twin` evaluates.

| Task | Does |
|---|---|
| `prepare` | checks that recipe and dataset go together and that the result could be served; makes the run's folder |
| `train` | trains in a process of its own, with a checkpoint every `save_steps`; records figures in Comet |
| `register` | puts the adapter into the registry as a candidate, with its lineage |
| `go_on` | only in runs that nobody asked for: triggers the next one, if another dataset waits |

One training at a time (pool `training`, and a lock on the machine). With `LLMTWIN_TRAIN_QUEUE=gpu`, `train` goes to the
workers of that queue; they need the data folder of the others.

### Runbook
- **`train` failed, or its worker was lost.** The retry goes on from the last checkpoint, and so does clearing the task,
  or `llmtwin train --resume RUN`; the loss curve is that of a run that was never interrupted. `train.log` in the run's
  folder has what the process printed.
- **Memory ran out.** The message names the knobs that need less. Trigger anew with them under *Changes*.
- **The disk is full.** Make room, clear `train`. A half checkpoint is never gone on from.
- **Another training runs on this machine.** The task tries again; `llmtwin runs` shows which one it is.
- **`prepare` failed.** It says which knob, or which dataset there is instead.
- **`prepare` was skipped.** No dataset waited. One of which a run failed does not; trigger a run with it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from llmtwin.settings import get_settings
from llmtwin_airflow import forms
from llmtwin_airflow.assets import CANDIDATES, DATASETS
from llmtwin_airflow.connections import FINAL
from llmtwin_airflow.waiting import NextRunOperator, dataset_waits, is_by_hand

SETTINGS = get_settings()
QUEUE: dict[str, Any] = {"queue": SETTINGS.train_queue} if SETTINGS.train_queue else {}


@dag(
    schedule=[DATASETS] if SETTINGS.train_on_new_dataset else None,
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own default time zone
    catchup=False,
    max_active_runs=1,
    params=forms.TRAIN,
    default_args={"owner": "llmtwin", "retries": 2, "retry_delay": timedelta(seconds=30), "retry_policy": FINAL},
    doc_md=__doc__,
    tags=["llmtwin", "twin"],
    is_paused_upon_creation=False,
)
def train_twin() -> None:
    @task(inlets=[DATASETS])
    def prepare() -> str:
        """Return the id of the run; the same for every try."""
        from llmtwin import training

        context = get_current_context()
        params, name = context["params"], context["run_id"]
        recipe = training.read_recipe(params["recipe"], params["changes"])
        if is_by_hand(context, "dataset"):
            return training.new_run(recipe, SETTINGS, dataset=params["dataset"], run_id=name).run_id
        if run := training.next_run(recipe, SETTINGS, name):
            return run.run_id
        raise AirflowSkipException("no dataset waits for a run")

    @task(pool="training", **QUEUE)
    def train(run: str) -> dict[str, float]:
        """Train, or go on where an earlier try ended; return the last figures."""
        from llmtwin import training

        def watch(line: dict[str, Any]) -> None:
            print(line)  # noqa: T201 - a task's output is its log

        return training.resume(training.open_run(SETTINGS, run), SETTINGS, watch).metrics

    @task(outlets=[CANDIDATES])
    def register(run: str) -> str:
        """Put the adapter into the registry; return its version."""
        from llmtwin import training

        version = training.register(training.open_run(SETTINGS, run), SETTINGS)
        extra = {"version": version.version, "run_id": run, **(version.lineage.metrics if version.lineage else {})}
        get_current_context()["outlet_events"][CANDIDATES].extra = extra
        return version.version

    run = prepare()
    train(run) >> register(run)
    run >> NextRunOperator(task_id="go_on", trigger_dag_id="train_twin", field="dataset", waits=dataset_waits)


train_twin()
