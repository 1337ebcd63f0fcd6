"""The few calls to Airflow's REST API that the drivers of the demo and of the twin make, as any client would."""

from __future__ import annotations

import time
from typing import Any

import httpx

from llmtwin.errors import LocalStackError
from llmtwin.local.airflow import airflow_password, airflow_url
from llmtwin.settings import Settings

_NOTED_SECONDS = 5.0


class AirflowApi:
    """Triggers DAGs and watches their runs.

    Args:
        settings: Whose Airflow.
    """

    def __init__(self, settings: Settings) -> None:
        self._seen: dict[tuple[str, str, str], float] = {}
        self._url = airflow_url(settings).rstrip("/")
        self._http = httpx.Client(base_url=self._url, timeout=30, trust_env=False)
        token = self._call("POST", "/auth/token", json={"username": "admin", "password": airflow_password(settings)})[
            "access_token"
        ]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def trigger(self, dag_id: str, conf: dict[str, Any], timeout_seconds: float = 90.0) -> str:
        """Start a run and return its id; waits for the DAG to be parsed first.

        Raises:
            LocalStackError: Airflow refused, or does not know the DAG in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                run = self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
            except LocalStackError as error:
                cause = error.__cause__
                unknown = isinstance(cause, httpx.HTTPStatusError) and cause.response.status_code == 404
                if not unknown or time.monotonic() > deadline:
                    raise
                time.sleep(1)
            else:
                return str(run["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return `queued`, `running`, `success` or `failed`."""
        return str(self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def newest_states(self, dag_id: str, count: int) -> list[str]:
        """Return the states of the newest runs that have ended, newest first."""
        params: dict[str, Any] = {"order_by": "-start_date", "limit": count, "state": ["success", "failed"]}
        return [
            str(run["state"]) for run in self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=params)["dag_runs"]
        ]

    def unfinished(self, dag_id: str) -> list[str]:
        """Return the ids of the runs that wait or are under way."""
        params: dict[str, Any] = {"state": ["queued", "running"], "limit": 100}
        runs = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=params)["dag_runs"]
        return [str(run["dag_run_id"]) for run in runs]

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the state of each task of a run; of mapped ones, of the last; ``none`` for those to come."""
        found = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {str(one["task_id"]): str(one["state"]).lower() for one in found}

    def question(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any] | None:
        """Return what a task asks a human, while it waits for the answer.

        Some seconds after it began to: an answer that comes before the scheduler has noted that the task waits is lost,
        and the task asks again.
        """
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/hitlDetails"
        found = self._call("GET", path, params={"task_id": task_id, "response_received": False})["hitl_details"]
        waiting = [dict(one) for one in found if one["task_instance"]["state"] in ("awaiting_input", "deferred")]
        key = (dag_id, run_id, task_id)
        if not waiting:
            self._seen.pop(key, None)
            return None
        since = self._seen.setdefault(key, time.monotonic())
        return waiting[0] if time.monotonic() - since >= _NOTED_SECONDS else None

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str, **fields: str) -> bool:
        """Answer what a task asks a human; tell whether the answer counts, for somebody may have been faster."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        try:
            self._call("PATCH", path, json={"chosen_options": [option], "params_input": fields})
        except LocalStackError as error:
            cause = error.__cause__
            if isinstance(cause, httpx.HTTPStatusError) and cause.response.status_code == 409:
                return False
            raise
        return True

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str, map_index: int = -1) -> Any:
        """Return a value a task left behind: text, numbers, lists, objects.

        Raises:
            LocalStackError: The task left no such value.
        """
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        # As it is stored: what Airflow calls deserialized is decoded twice, and a text of digits comes as a number.
        return self._call("GET", path, params={"deserialize": "false", "map_index": map_index})["value"]

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **arguments)
            response.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise LocalStackError(
                f"Airflow answered {error.response.status_code} to {method} {path}: {error.response.text[:300]}"
            ) from error
        except httpx.HTTPError as error:
            raise LocalStackError(f"Airflow does not answer at {self._url}: {error!r}; see `llmtwin logs`") from error
        return dict(response.json())
