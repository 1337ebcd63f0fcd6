"""A version on the Hugging Face Hub: what is uploaded, that it is there once, and what is said when it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr
from tests.adapters import BASE_MODEL, save_adapter
from tests.evaluations import save_evaluation
from tests.scripted_hub import REPOSITORY, TOKEN, Hub, scripted_hub
from typer.testing import CliRunner

from llmtwin.cli import app
from llmtwin.errors import RegistryError
from llmtwin.local.ports import free_port
from llmtwin.promotion import promote, publish_to_hub
from llmtwin.registry import Lineage, Registry
from llmtwin.settings import Settings, get_settings, settings_environment

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty Hub, which takes weights by the Git LFS protocol: its own one needs more servers."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with scripted_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with one version in the registry, trained on a folder of this machine."""
    settings = Settings(
        data_dir=tmp_path,
        registry_dir=None,
        hub_repository=REPOSITORY,
        hub_token=SecretStr(TOKEN),
        hub_private=True,
        base_model=BASE_MODEL,
    )
    register(settings, tmp_path / "trained")
    return settings


def register(settings: Settings, folder: Path, seed: int = 0) -> str:
    local = str(folder.parent / "models" / "SmolLM2-135M-Instruct")
    lineage = Lineage(
        author="Ana Núñez",
        dataset="ana@0123456789ab",
        recipe="smoke",
        code_revision="abc123",
        experiment=str(folder.parent / "comet" / "x.zip"),
        metrics={"train_loss": 2.5},
    )
    source = save_adapter(folder, seed=seed, base_model_name_or_path=local)
    return Registry(settings.registry).register(source, BASE_MODEL, 16, lineage).version


def test_adapter_and_card_are_one_tagged_commit_that_names_nothing_of_this_machine(
    hub: Hub, settings: Settings, tmp_path: Path
) -> None:
    save_evaluation(settings, "1")
    assert publish_to_hub("1", settings) == f"{hub.url}/{REPOSITORY}/tree/v1"
    [files], [created] = hub.commits, hub.created
    assert set(files) == {"adapter_config.json", WEIGHTS, "README.md"}
    assert hub.tags == {"v1": 1}
    assert created["visibility"] == "private"
    assert files[WEIGHTS] == (Registry(settings.registry).folder_of("1") / WEIGHTS).read_bytes()
    configuration = json.loads(files["adapter_config.json"])
    assert (configuration["base_model_name_or_path"], configuration["r"]) == (BASE_MODEL, 8)
    card = files["README.md"].decode()
    front = yaml.safe_load(card.split("---")[1])
    assert (front["base_model"], front["library_name"]) == (BASE_MODEL, "peft")
    assert "| `perplexity_ratio` | 0.6 | 0.59 to 0.61 |" in card
    assert "| dataset | `ana@0123456789ab` |" in card
    assert f'PeftModel.from_pretrained(model, "{REPOSITORY}", revision="v1")' in card
    assert "--lora-modules twin=./twin" in card
    for content in (card, files["adapter_config.json"].decode()):
        assert str(tmp_path) not in content
        assert "Núñez" not in content


def test_without_an_evaluation_the_card_has_the_figures_of_training(hub: Hub, settings: Settings) -> None:
    save_evaluation(settings, "1", identity="f" * 64)  # of other weights
    publish_to_hub("1", settings)
    assert "| `train_loss` | 2.5 |  |" in hub.commits[0]["README.md"].decode()
    assert "perplexity" not in hub.commits[0]["README.md"].decode()


def test_to_publish_again_changes_nothing(hub: Hub, settings: Settings, tmp_path: Path) -> None:
    first = publish_to_hub("1", settings)
    assert publish_to_hub("1", settings) == first
    assert (len(hub.commits), hub.tags) == (1, {"v1": 1})
    publish_to_hub(register(settings, tmp_path / "second", seed=1), settings)
    assert hub.tags == {"v1": 1, "v2": 2}


def test_what_was_killed_before_the_tag_is_finished(hub: Hub, settings: Settings) -> None:
    hub.fails = {f"/tag/{1:040x}": 500}
    with pytest.raises(RegistryError, match=r"(?s)HTTP 500.*`llmtwin registry publish` tries again"):
        publish_to_hub("1", settings)
    hub.fails = {}
    publish_to_hub("1", settings)
    assert list(hub.tags) == ["v1"]


def test_another_registry_s_version_is_not_overwritten(hub: Hub, settings: Settings, tmp_path: Path) -> None:
    publish_to_hub("1", settings)
    other = settings.model_copy(update={"registry_dir": tmp_path / "other"})
    register(other, tmp_path / "elsewhere", seed=5)
    with pytest.raises(RegistryError, match=r"other weights as v1: .* LLMTWIN_HUB_REPOSITORY"):
        publish_to_hub("1", other)
    assert len(hub.commits) == 1


def test_a_wrong_token_is_named(hub: Hub, settings: Settings) -> None:
    wrong = settings.model_copy(update={"hub_token": SecretStr("hf_wrong")})
    with pytest.raises(RegistryError, match=r"HTTP 401.*LLMTWIN_HUB_TOKEN") as raised:
        publish_to_hub("1", wrong)
    assert "hf_wrong" not in str(raised.value)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/repos/create", 403, "may not write there"),
        ("/refs", 404, "no such repository"),
        ("/preupload/main", 404, "no such repository"),
    ],
)
def test_what_the_hub_refuses_is_said(hub: Hub, settings: Settings, path: str, status: int, words: str) -> None:
    hub.fails = {path: status}
    with pytest.raises(RegistryError, match=rf"HTTP {status}\): .*{words}.* LLMTWIN_HUB_REPOSITORY"):
        publish_to_hub("1", settings)
    assert not hub.commits


def test_a_hub_that_cannot_be_reached_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(RegistryError, match=r"cannot be reached .*`llmtwin registry publish`"):
        publish_to_hub("1", settings)


def test_damaged_weights_are_not_published(hub: Hub, settings: Settings) -> None:
    file = Registry(settings.registry).folder_of("1") / WEIGHTS
    file.chmod(0o644)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RegistryError, match="not what was registered"):
        publish_to_hub("1", settings)
    assert not hub.created


def test_a_failure_is_a_note_of_the_promotion(hub: Hub, settings: Settings) -> None:
    registry = Registry(settings.registry)
    registry.accept("1")
    registry.promote("1")
    hub.fails = {"/repos/create": 403}
    [note] = promote("1", settings).notes
    assert "version 1 is not published" in note
    hub.fails = {}
    assert promote("1", settings).notes == ()
    assert hub.tags == {"v1": 1}


def test_the_command_publishes_what_is_in_production(
    hub: Hub, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings_environment(settings).items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    try:
        refused = CliRunner().invoke(app, ["registry", "publish"])
        assert "no version is in production" in str(refused.exception or refused.output)
        done = CliRunner().invoke(app, ["registry", "publish", "1"])
        assert done.exit_code == 0, done.output
        assert f"published: {hub.url}/{REPOSITORY}/tree/v1" in done.output
        Registry(settings.registry).accept("1")
        Registry(settings.registry).promote("1")
        assert CliRunner().invoke(app, ["registry", "publish"]).exit_code == 0
        assert len(hub.commits) == 1
    finally:
        get_settings.cache_clear()
