"""`llmtwin versions`, `promote` and `rollback` before a scripted vLLM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from tests.adapters import BASE_MODEL, save_adapter
from tests.evaluations import save_evaluation
from tests.integration.promotion.conftest import Gateway, ScriptedVllm, Train
from typer.testing import CliRunner

from llmtwin.cli import app
from llmtwin.errors import EvaluationError, PromotionError, RegistryError, SettingsError
from llmtwin.registry import Lineage, Registry
from llmtwin.settings import get_settings, settings_environment

Llmtwin = Callable[..., Result]


@pytest.fixture
def llmtwin(own: Gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Llmtwin]:
    """The command line with the settings of the test's gateway."""
    for name, value in settings_environment(own.settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()
    yield lambda *arguments, say=None: CliRunner().invoke(app, arguments, input=say)
    get_settings.cache_clear()


def test_versions_are_listed_with_where_they_came_from(llmtwin: Llmtwin, own: Gateway, tmp_path: Path) -> None:
    assert "no version yet" in llmtwin("versions").output
    registry = Registry(own.settings.registry)
    lineage = Lineage(author="Ana [bold] Núñez", dataset="ana@0123456789ab", recipe="smoke")
    registry.register(save_adapter(tmp_path / "trained"), BASE_MODEL, 16, lineage=lineage)
    registry.archive("1", "it brags")
    output = llmtwin("versions").output
    for words in ("archived", "Ana [bold] Núñez", "ana@0123456789ab", "smoke", "it brags"):
        assert words in output


def test_the_newest_candidate_is_shown_and_promoted_when_a_human_says_yes(
    llmtwin: Llmtwin, own: Gateway, train: Train
) -> None:
    save_evaluation(own.settings, train())
    refused = llmtwin("promote", say="n\n")
    assert refused.exit_code == 1
    assert "the gate lets it pass" in refused.output
    assert Registry(own.settings.registry).production() is None
    done = llmtwin("promote", say="y\n")
    assert done.exit_code == 0, done.output
    assert "perplexity on unseen text" in done.output
    assert "twin was the base model and is version 1 now" in done.output
    assert "it said: word word" in done.output


def test_what_the_gate_rejects_is_promoted_on_purpose_only(llmtwin: Llmtwin, own: Gateway, train: Train) -> None:
    save_evaluation(own.settings, train(), perplexity_ratio=1.2)
    refused = llmtwin("promote", "--yes")
    assert isinstance(refused.exception, PromotionError)
    assert "--despite-gate" in str(refused.exception)
    assert "it must know the author's voice better" in refused.output
    assert Registry(own.settings.registry).production() is None
    assert llmtwin("promote", "--yes", "--despite-gate").exit_code == 0
    assert Registry(own.settings.registry).production() is not None


def test_what_was_not_evaluated_is_promoted_on_purpose_only(llmtwin: Llmtwin, train: Train) -> None:
    train()
    assert isinstance(llmtwin("promote", "1", "--yes").exception, EvaluationError)
    done = llmtwin("promote", "1", "--yes", "--despite-gate")
    assert done.exit_code == 0
    assert "not evaluated: version 1" in done.output


def test_an_evaluation_beside_another_production_is_out_of_date(llmtwin: Llmtwin, own: Gateway, train: Train) -> None:
    save_evaluation(own.settings, train(), production=None)
    train()
    assert llmtwin("promote", "2", "--yes", "--despite-gate").exit_code == 0
    refused = llmtwin("promote", "1", "--yes")
    assert isinstance(refused.exception, RegistryError)
    assert "version 2 is in production by now" in str(refused.exception)


def test_after_a_change_of_base_model_a_candidate_takes_over_and_there_is_no_way_back(
    llmtwin: Llmtwin, own: Gateway, train: Train, tmp_path: Path
) -> None:
    registry = Registry(own.settings.registry)
    old = save_adapter(tmp_path / "old", base_model_name_or_path="org/another-model")
    registry.accept(registry.register(old, "org/another-model", 16).version)
    registry.promote("1")
    reason = "version 1 in production was trained on org/another-model"
    save_evaluation(own.settings, train(), production="1", not_measured={"production/": reason})
    done = llmtwin("promote", "2", "--yes")
    assert done.exit_code == 0, done.output
    assert "twin was version 1 and is version 2 now" in done.output
    refused = llmtwin("rollback")
    assert isinstance(refused.exception, RegistryError)
    assert "version 1 cannot be served again" in str(refused.exception)
    assert "it was trained on 'org/another-model'" in str(refused.exception)
    production = registry.production()
    assert production is not None
    assert production.version == "2"


def test_rollback_says_what_twin_is_now_and_how_long_it_took(
    llmtwin: Llmtwin, vllm: ScriptedVllm, train: Train
) -> None:
    for _ in range(2):
        assert llmtwin("promote", train(), "--yes", "--despite-gate").exit_code == 0
    vllm.script()
    assert "twin was version 2 and is version 1 now (0." in llmtwin("rollback").output
    assert "twin was version 1 and is the base model now (0." in llmtwin("rollback").output
    assert isinstance(llmtwin("rollback").exception, RegistryError)
    # What was served before may be so again, and needs no evaluation for it.
    assert "is version 2 now" in llmtwin("promote", "2", "--yes").output


def test_the_registry_is_copied_to_where_a_setting_says(
    llmtwin: Llmtwin, own: Gateway, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train()
    assert isinstance(llmtwin("registry", "push").exception, SettingsError)
    monkeypatch.setenv("LLMTWIN_REGISTRY_URL", f"file://{tmp_path / 'share'}")
    get_settings.cache_clear()
    assert llmtwin("registry", "push").output == "copied: 1\n"
    assert (tmp_path / "share" / "index.json").is_file()
    assert llmtwin("registry", "pull").output == "copied: no version, only what became of them\n"
