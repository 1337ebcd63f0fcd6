from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from llmtwin.local.airflow import airflow_environment, airflow_password, connections
from llmtwin.settings import Settings


def test_connections_lead_to_the_local_servers_by_default(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        mongodb_url=None,
        rabbitmq_url=None,
        qdrant_url=None,
        mongodb_port=1,
        rabbitmq_port=2,
        qdrant_port=3,
    )
    assert connections(settings) == {
        "mongo_default": {
            "conn_type": "mongo",
            "host": "127.0.0.1:1",
            "login": None,
            "password": None,
            "schema": "llmtwin",
            "extra": {"replicaSet": "rs0"},
        },
        "rabbitmq_default": {
            "conn_type": "rabbitmq",
            "host": "127.0.0.1",
            "port": 2,
            "login": "guest",
            "password": "guest",
            "schema": "/",
            "extra": {"ssl": False},
        },
        "qdrant_default": {"conn_type": "qdrant", "password": None, "extra": {"url": "http://127.0.0.1:3"}},
    }


def test_connections_keep_everything_that_a_url_says() -> None:
    settings = Settings(
        mongodb_url="mongodb+srv://ann:p%40ss@a.example,b.example/?tls=true",
        rabbitmq_url="amqps://bob:s%2Fx@mq.example/twin",
        qdrant_url="https://q.example:6333/prefix",
        qdrant_api_key="key",
    )
    found = connections(settings)
    mongo, rabbitmq, qdrant = (found[f"{name}_default"] for name in ("mongo", "rabbitmq", "qdrant"))
    assert (mongo["host"], mongo["login"], mongo["password"]) == ("a.example,b.example", "ann", "p@ss")
    # Without a database in the URL, MongoDB asks `admin` for the user; naming one here must not change that.
    assert mongo["extra"] == {"tls": "true", "srv": "true", "authSource": "admin"}
    assert (rabbitmq["host"], rabbitmq["port"], rabbitmq["schema"]) == ("mq.example", 5671, "twin")
    assert (rabbitmq["login"], rabbitmq["password"], rabbitmq["extra"]) == ("bob", "s/x", {"ssl": True})
    assert (qdrant["extra"]["url"], qdrant["password"]) == ("https://q.example:6333/prefix", "key")


def test_a_database_in_the_mongodb_url_keeps_its_users() -> None:
    mongo = connections(Settings(mongodb_url="mongodb://ann:x@h:1/twins"))["mongo_default"]
    assert mongo["schema"] == "twins"
    assert "authSource" not in mongo["extra"]


def test_secrets_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    first, second = airflow_environment(settings), airflow_environment(settings)
    assert first == second
    assert json.loads((tmp_path / "airflow" / "passwords.json").read_text()) == {"admin": airflow_password(settings)}
    for file in (tmp_path / "airflow").iterdir():
        assert file.stat().st_mode & 0o077 == 0
    Fernet(first["AIRFLOW__CORE__FERNET_KEY"])  # raises where the key is none
    other = airflow_environment(Settings(data_dir=tmp_path / "other"))
    for secret in ("CORE__FERNET_KEY", "API__SECRET_KEY", "API_AUTH__JWT_SECRET"):
        assert first[f"AIRFLOW__{secret}"] != other[f"AIRFLOW__{secret}"]


def test_the_users_proxy_is_not_asked_for_the_loopback_interface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "intra.example,localhost")
    assert airflow_environment(Settings(data_dir=tmp_path))["NO_PROXY"] == "intra.example,localhost,127.0.0.1"
