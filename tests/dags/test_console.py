"""The pages of the twin in Airflow's UI: who may see them, and what they may do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.adapters import BASE_MODEL, save_adapter
from tests.conftest import HOME
from tests.evaluations import save_evaluation

from llmtwin.registry import Lineage, Registry
from llmtwin.settings import Settings, get_settings, settings_environment

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

REPORT = "/llmtwin/evaluations/1/report.html"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    settings = Settings(home=HOME, data_dir=tmp_path / "data")
    for name, value in settings_environment(settings).items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield settings
    get_settings.cache_clear()


@pytest.fixture
def evaluated(settings: Settings, tmp_path: Path) -> Settings:
    lineage = Lineage(author="<script>alert(1)</script>", recipe="smoke")
    Registry(settings.registry).register(save_adapter(tmp_path / "trained"), BASE_MODEL, 16, lineage=lineage)
    save_evaluation(settings, "1")
    return settings


@pytest.mark.parametrize("path", [REPORT, "/llmtwin/versions"])
def test_without_a_login_nothing_is_shown(api: TestClient, evaluated: Settings, path: str) -> None:
    assert api.get(path).status_code == 200
    for header in ("", "Bearer nonsense"):
        answer = api.get(path, headers={"authorization": header})
        assert answer.status_code in (401, 403)
        assert "it writes" not in answer.text


def test_a_report_is_a_document_of_nowhere(api: TestClient, evaluated: Settings) -> None:
    answer = api.get(REPORT)
    assert "So it writes." in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "sandbox;" in policy
    assert "allow-" not in policy
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "<script" not in answer.text


def test_a_login_in_the_browser_is_enough(api: TestClient, evaluated: Settings) -> None:
    token = api.headers["authorization"].removeprefix("Bearer ")
    assert api.get(REPORT, headers={"authorization": "", "cookie": f"_token={token}"}).status_code == 200


@pytest.mark.parametrize("version", ["7", "..", "%2e%2e", "..%2f..%2fregistry", "a b"])
def test_only_reports_are_shown(api: TestClient, evaluated: Settings, version: str) -> None:
    (evaluated.data / "report.html").write_text("not for you")
    answer = api.get(f"/llmtwin/evaluations/{version}/report.html")
    assert answer.status_code == 404
    assert "not for you" not in answer.text


def test_versions_are_listed_with_their_reports_and_text_means_itself(api: TestClient, evaluated: Settings) -> None:
    page = api.get("/llmtwin/versions")
    assert "twin@1" in page.text
    assert f'href="{REPORT}"' in page.text
    assert "<script>" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert "script-src" not in page.headers["content-security-policy"]


def test_before_the_first_version_the_page_says_so(api: TestClient, settings: Settings) -> None:
    assert "There is none yet" in api.get("/llmtwin/versions").text


def test_the_ui_has_a_way_to_it(api: TestClient) -> None:
    plugins = {plugin["name"]: plugin for plugin in api.get("/api/v2/plugins").json()["plugins"]}
    [view] = plugins["llmtwin"]["external_views"]
    assert (view["href"], view["name"]) == ("/llmtwin/versions", "Twin")
