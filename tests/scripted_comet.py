"""A server that answers what Comet's client asks when it reads one experiment, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.scripted_server import JsonHandler, serving

KEY = "0123456789abcdef0123456789abcdef"
_METADATA = {
    "experimentKey": KEY,
    "experimentName": "first",
    "workspaceName": "me",
    "projectName": "voices",
    "projectId": "p1",
    "startTimeMillis": 1_790_000_000_000,
    "tags": ["smoke", "ana"],
}


def _metric(name: str, value: str, step: int) -> dict[str, Any]:
    return {"metricName": name, "metricValue": value, "step": step, "timestamp": 1_790_000_000_000 + step}


ANSWERS: dict[str, Any] = {
    "/clientlib/isAlive/ver": {"version": "99.0.0"},
    "/api/rest/v2/account-details": {"userName": "me", "defaultWorkspaceName": "me"},
    "/api/rest/v2/experiments": {"experiments": [_METADATA]},
    "/api/rest/v2/project/column-names": {"columns": []},
    "/api/rest/v2/experiment/metadata": _METADATA,
    "/api/rest/v2/experiment/tags": {"tags": ["smoke", "ana"]},
    "/api/rest/v2/experiment/parameters": {
        "values": [{"name": "learning_rate", "valueCurrent": "0.001"}, {"name": "curr_step", "valueCurrent": "2"}]
    },
    "/api/rest/v2/experiment/log-other": {
        "values": [{"name": "dataset", "valueCurrent": "ana@0123"}, {"name": "Name", "valueCurrent": "first"}]
    },
    "/api/rest/v2/experiment/metrics/get-all": {"metrics": [_metric("loss", "2.5", 2), _metric("loss", "3.0", 1)]},
    "/api/rest/v2/experiment/asset/list": {"assets": [{"fileName": "report.html", "assetId": "a1"}]},
}


@contextmanager
def scripted_comet() -> Iterator[tuple[str, list[str]]]:
    """Serve; yield the address for ``COMET_URL_OVERRIDE``, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(JsonHandler):
        def do_GET(self) -> None:  # noqa: N802 - http.server's name
            url = urlsplit(self.path)
            asked.append(url.path)
            wanted = parse_qs(url.query).get("experimentKey", [KEY])
            if url.path == "/api/rest/v2/experiment/asset/get-asset":
                self.answer(200, b"<p>report</p>")
            elif url.path in ANSWERS and wanted == [KEY]:
                self.answer(200, ANSWERS[url.path])
            else:
                self.answer(404, {"msg": f"there is no {self.path}"})

    with serving(Handler) as url:
        yield f"{url}/clientlib/", asked
