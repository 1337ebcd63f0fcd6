from __future__ import annotations

from pathlib import Path

import pytest

from llmtwin.local.services import external_servers, services
from llmtwin.settings import Settings, settings_environment

OWN = {"mongodb_url": None, "rabbitmq_url": None, "qdrant_url": None}


def names(settings: Settings) -> list[str]:
    return [service.name for service in services(settings)]


def test_a_server_with_a_url_is_not_started(tmp_path: Path) -> None:
    own = Settings(data_dir=tmp_path, **OWN)
    assert names(own)[:4] == ["mongodb", "rabbitmq", "qdrant", "cdc"]
    external = own.model_copy(update={"mongodb_url": "mongodb://elsewhere"})
    assert "mongodb" not in names(external)
    assert external_servers(external) == {"mongodb": "mongodb://elsewhere"}


def test_everything_that_is_needed_is_there_and_comes_before(tmp_path: Path) -> None:
    for update in ({}, {"mongodb_url": "mongodb://elsewhere"}, {"rabbitmq_url": "amqp://elsewhere"}):
        ready: set[str] = set()
        for service in services(Settings(data_dir=tmp_path, **OWN | update)):
            assert set(service.needs) <= ready
            ready.add(service.name)


def test_every_port_is_a_setting_of_its_own(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, **OWN)
    ports = [port for service in services(settings) for port in service.ports]
    assert len({port.number for port in ports}) == len(ports)
    for port in ports:
        assert getattr(settings, port.setting.removeprefix("LLMTWIN_").lower()) == port.number


def test_another_process_reads_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        data_dir=tmp_path / "mit Leerzeichen",
        mongodb_url="mongodb://h/?a=1&b=%20",
        sync_schedule="@continuous",
        crawl_allow_local=True,
        drain_max_seconds=0.5,
        rabbitmq_url=None,
        linkedin_password="s3cret",
    )
    # As another process would find it in the user's .env: the stack's own broker must win over it.
    monkeypatch.setenv("RABBITMQ_URL", "amqp://elsewhere")
    for name, value in settings_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
