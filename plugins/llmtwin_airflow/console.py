"""Pages of the twin in Airflow's UI: its versions, and the report of each evaluation.

Airflow mounts them, but whoever asks is only checked where a page does it itself: these are for users who may see the
DAG ``promote_twin``. Reports show what models wrote, so they are sent as documents of nowhere in which nothing runs:
whatever stands in them, it can reach neither Airflow's cookies nor its API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import FastAPI

PREFIX = "/llmtwin"
DAG = "promote_twin"

_SHARED = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_REPORT_POLICY = f"{_SHARED}; sandbox; frame-ancestors 'self'"
_PAGE_POLICY = f"{_SHARED}; frame-ancestors 'self'"

_VERSIONS = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Versions of the twin</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif } body { margin: 2rem }
table { border-collapse: collapse } th, td { text-align: left; padding: .3rem 1rem .3rem 0; vertical-align: top }
th { border-bottom: 1px solid } .production { font-weight: 600 }
</style>
<h1>Versions of the twin</h1>
{% if versions %}<table>
<tr><th>version<th>status<th>registered<th>author<th>dataset<th>recipe<th>reason<th>evaluation</tr>
{% for version, report in versions %}<tr class="{{ version.status }}">
<td>{{ version.served_name }}<td>{{ version.status }}<td>{{ version.created_at.strftime("%Y-%m-%d %H:%M") }} UTC
{% set lineage = version.lineage %}
<td>{{ lineage.author or "" if lineage }}<td>{{ lineage.dataset or "" if lineage }}
<td>{{ lineage.recipe or "" if lineage }}<td>{{ version.reason or "" }}
<td>{% if report %}<a href="{{ report }}" target="_blank" rel="noopener">report</a>{% endif %}</tr>
{% endfor %}</table>{% else %}<p>There is none yet: <code>train_twin</code> makes one.</p>{% endif %}
</html>"""


def report_path(version: str) -> str:
    """Return where the report of a version's evaluation is shown: a path on Airflow's own host, whatever its name."""
    from airflow.sdk.configuration import conf

    root = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    return f"{root}{PREFIX}/evaluations/{quote(version, safe='')}/report.html"


def create_app() -> FastAPI:
    """Return the pages."""
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import FileResponse, HTMLResponse
    from jinja2 import Environment

    from llmtwin.errors import EvaluationError
    from llmtwin.evaluation.result import REPORT, folder_of
    from llmtwin.registry import Registry
    from llmtwin.settings import get_settings

    page = Environment(autoescape=True).from_string(_VERSIONS)
    app = FastAPI(
        title="llmtwin",
        dependencies=[Depends(requires_access_dag("GET", param_dag_id=DAG))],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )

    @app.get("/versions", response_class=HTMLResponse)
    def versions() -> HTMLResponse:
        settings = get_settings()
        found = [
            (one, report_path(one.version) if (folder_of(settings, one.version) / REPORT).is_file() else None)
            for one in reversed(Registry(settings.registry).versions())
        ]
        return HTMLResponse(page.render(versions=found), headers=_headers(_PAGE_POLICY))

    @app.get("/evaluations/{version}/report.html")
    def report(version: str) -> FileResponse:
        try:
            file = folder_of(get_settings(), version) / REPORT
        except EvaluationError as error:
            raise HTTPException(404, str(error)) from error
        if not file.is_file():
            raise HTTPException(404, f"version {version} has no report: run `llmtwin evaluate {version}`")
        return FileResponse(file, media_type="text/html", headers=_headers(_REPORT_POLICY))

    return app


class Console(AirflowPlugin):
    """Tells Airflow about the pages. Only its API server asks for them, so only there they are made."""

    name = "llmtwin"
    external_views = [  # noqa: RUF012 - what Airflow reads
        {
            "name": "Twin",
            "href": f"{PREFIX}/versions",
            "url_route": "twin",
            "destination": "nav",
            "category": "browse",
        }
    ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The app and where it is mounted."""
        return [{"app": create_app(), "url_prefix": PREFIX, "name": "llmtwin"}]


def _headers(policy: str) -> dict[str, str]:
    return {"content-security-policy": policy, "cache-control": "no-store", "x-content-type-options": "nosniff"}
