"""Whatever its own schema allows, and much that it does not, the gateway answers without failing."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from tests.integration.serving.gateway.conftest import Gateway

from llmtwin.settings import Settings
from serving.gateway.app import create_app

pytestmark = pytest.mark.stack

schema = schemathesis.openapi.from_dict(create_app(Settings(gateway_rate_limit="")).openapi())


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_makes_it_fail(case: Any, searching: Gateway) -> None:
    response = case.call(base_url=searching.url, timeout=60)
    case.validate_response(response, checks=[not_a_server_error])
    if response.status_code >= 400:
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
def test_no_page_runs_scripts_of_others(searching: Gateway, path: str) -> None:
    assert searching.http.get(path).status_code == 404


def test_the_schema_names_every_path_of_the_api(searching: Gateway) -> None:
    paths = httpx.get(f"{searching.url}/openapi.json", trust_env=False).json()["paths"]
    assert {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/ready"} <= set(paths)
