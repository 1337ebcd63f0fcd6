"""docker-compose.yaml, Dockerfile, .env.example and the settings say the same."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic import AliasChoices
from pydantic_core import PydanticUndefined

from llmtwin.settings import Settings

HOME = Path(__file__).resolve().parents[2]
COMPOSE = HOME / "docker-compose.yaml"
EXAMPLE = HOME / ".env.example"

# Read by docker-compose.yaml alone, so no setting of llmtwin.
COMPOSE_ONLY = {
    "AIRFLOW_PASSWORD",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_SECRET_KEY",
    "POSTGRES_PASSWORD",
    "RABBITMQ_PASSWORD",
    "QDRANT_PASSWORD",
    "PIP_EXTRA_INDEX_URL",
}
# Where each image really stores its data, from its own documentation.
DATA_PATHS = {
    "mongodb": {"/data/db", "/data/configdb"},
    "rabbitmq": {"/var/lib/rabbitmq"},
    "qdrant": {"/qdrant/storage", "/qdrant/snapshots"},
    "postgres": {"/var/lib/postgresql/data"},
}
PORTS = {
    "mongodb": 27017,
    "rabbitmq": 5672,
    "qdrant": 6333,
    "postgres": 5432,
    "airflow-api-server": 8080,
    "vllm": 8000,
    "gateway": 8080,
}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def example() -> dict[str, str]:
    """The variables of .env.example, whether commented out or not, with their values."""
    lines = re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)
    assert len(lines) == len(dict(lines)), "a variable is listed twice"
    return dict(lines)


def variable_of(field: str) -> str:
    alias = Settings.model_fields[field].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"LLMTWIN_{field.upper()}"


def test_every_setting_is_in_the_example_and_nothing_else() -> None:
    assert set(example()) == {variable_of(field) for field in Settings.model_fields} | COMPOSE_ONLY


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_the_example_shows_the_true_default(field: str) -> None:
    default = Settings.model_fields[field].default
    if default is None or default is PydanticUndefined:  # none, or one that depends on the machine
        assert example()[variable_of(field)] == ""
    else:
        shown = Settings.model_validate({field: example()[variable_of(field)]})
        assert getattr(shown, field) == default


def test_every_variable_of_the_example_has_a_line_that_explains_it() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for before, line in pairwise(lines):
        if re.match(r"#?[A-Z][A-Z0-9_]*=", line):
            assert before.startswith("# "), f"nothing explains {line}"


def test_every_variable_of_the_compose_file_is_in_the_example() -> None:
    text = COMPOSE.read_text().replace("$$", "")
    used = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]*)", text))
    assert used <= set(example())
    assert used >= COMPOSE_ONLY


@pytest.mark.parametrize(("variable", "default"), re.findall(r"\$\{(LLMTWIN_\w+):-([^}]*)\}", COMPOSE.read_text()))
def test_defaults_of_the_compose_file_are_those_of_the_settings(variable: str, default: str) -> None:
    assert example()[variable] == default


def test_every_llmtwin_variable_of_a_service_is_a_setting() -> None:
    known = {variable_of(field) for field in Settings.model_fields}
    for service in compose()["services"].values():
        assert {name for name in service.get("environment", {}) if name.startswith("LLMTWIN_")} <= known


def test_passwords_come_from_the_environment_and_are_required() -> None:
    for name in COMPOSE_ONLY - {"PIP_EXTRA_INDEX_URL"}:
        assert f"${{{name}:?" in COMPOSE.read_text(), f"compose starts without {name}"
        assert example()[name] == ""


def test_volumes_are_declared_used_and_on_the_paths_where_the_data_lies() -> None:
    services = compose()["services"]
    mounts = {name: dict(volume.split(":")[::-1] for volume in s.get("volumes", [])) for name, s in services.items()}
    assert {volume for paths in mounts.values() for volume in paths.values()} == set(compose()["volumes"])
    for name, paths in DATA_PATHS.items():
        assert set(mounts[name]) == paths
    data_dir = services["cdc"]["environment"]["LLMTWIN_DATA_DIR"]
    assert data_dir in mounts["airflow-scheduler"]


def test_only_airflow_and_the_gateway_are_published_and_on_the_loopback_interface_only() -> None:
    published = {name: service["ports"] for name, service in compose()["services"].items() if "ports" in service}
    assert published == {
        "airflow-api-server": ["127.0.0.1:${LLMTWIN_AIRFLOW_PORT:-8081}:8080"],
        "gateway": ["127.0.0.1:${LLMTWIN_GATEWAY_PORT:-8080}:8080"],
    }


def test_vllm_is_reached_within_the_file_only_and_knows_no_password() -> None:
    for name in ("vllm-cpu", "vllm-gpu"):
        service = compose()["services"][name]
        assert service["networks"] == {"default": {"aliases": ["vllm"]}}
        assert "ports" not in service
        assert "env_file" not in service
        assert not [value for value in service["environment"].values() if "PASSWORD" in value or "SECRET" in value]
        assert service["profiles"] == [name.removeprefix("vllm-")] == [service["environment"]["LLMTWIN_VLLM_DEVICE"]]
        assert service["build"]["target"] == name.removeprefix("vllm-")


def test_the_image_for_gpus_is_the_vllm_of_the_requirements() -> None:
    folder = HOME / "serving" / "vllm"
    version = re.search(r"^vllm==(\S+)$", (folder / "requirements-gpu.txt").read_text(), re.MULTILINE)
    assert version is not None
    assert f"FROM vllm/vllm-openai:v{version[1]} AS gpu\n" in (folder / "Dockerfile").read_text()


def test_urls_lead_to_services_that_exist_on_the_ports_they_listen_on() -> None:
    environment = compose()["services"]["airflow-scheduler"]["environment"]
    urls = [
        value for value in environment.values() if "://" in value and not value.startswith(("{", "http://localhost"))
    ]
    connections = [json.loads(value) for name, value in environment.items() if name.startswith("AIRFLOW_CONN_")]
    for connection in connections:
        url = connection.get("extra", {}).get("url")
        host, _, port = str(connection.get("host", "")).partition(":")
        urls.append(url or f"any://{host}:{port or connection['port']}")
    assert len(urls) == 10
    for url in urls:
        target = urlsplit(re.sub(r"\$\{[^}]*\}", "x", url))
        assert PORTS[str(target.hostname)] == target.port


def test_every_service_restarts_and_depends_on_services_that_exist() -> None:
    services = compose()["services"]
    for name, service in services.items():
        assert service["restart"] == ("no" if name == "airflow-init" else "unless-stopped")
        for dependency, wish in service.get("depends_on", {}).items():
            assert dependency in services
            if wish["condition"] == "service_healthy":
                assert "healthcheck" in services[dependency]


def test_every_image_is_pinned_and_the_airflow_of_the_requirements() -> None:
    airflow = re.search(r"^apache-airflow==(\S+)$", (HOME / "requirements.txt").read_text(), re.MULTILINE)
    assert airflow is not None
    assert (HOME / "Dockerfile").read_text().count(f"FROM apache/airflow:{airflow[1]}-python3.11\n") == 1
    for service in compose()["services"].values():
        assert re.search(r":v?\d+\.\d+(\.\d+)?$", service["image"])


def test_rabbitmq_keeps_its_host_name() -> None:
    assert compose()["services"]["rabbitmq"]["hostname"] == "rabbitmq"


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    for name in ("docker-compose.yaml", "Dockerfile"):
        shutil.copy(HOME / name, tmp_path)
    filled = re.sub(r"^([A-Z_]+)=$", r"\1=secret", EXAMPLE.read_text(), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(filled)
    command = ["docker-compose", "--profile", "cpu", "--profile", "gpu", "config"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == set(compose()["services"])
    assert services["cdc"]["environment"]["LLMTWIN_RABBITMQ_URL"] == "amqp://llmtwin:secret@rabbitmq:5672/%2F"


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_docker_compose_names_a_password_that_is_missing(tmp_path: Path) -> None:
    shutil.copy(COMPOSE, tmp_path)
    shutil.copy(EXAMPLE, tmp_path / ".env")
    done = subprocess.run(["docker-compose", "config"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "set it in .env" in done.stderr
