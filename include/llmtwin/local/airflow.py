"""Airflow as the local stack runs it: its environment, its secrets and its metadata database.

One machine, one user: SQLite, LocalExecutor, and Airflow's simple auth manager with a generated password.
``python -m llmtwin.local.airflow`` brings the metadata database up to date.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from llmtwin.errors import LocalStackError
from llmtwin.local.ports import LOOPBACK
from llmtwin.settings import Settings, get_settings

USER = "admin"


def airflow_url(settings: Settings) -> str:
    """Return the address of Airflow's UI and API."""
    return f"http://{LOOPBACK}:{settings.airflow_port}"


def airflow_password(settings: Settings) -> str:
    """Return the password of the user ``admin``, making one up the first time."""
    return str(_remembered(_folder(settings) / "passwords.json", lambda: {USER: secrets.token_urlsafe(12)})[USER])


def airflow_command(*arguments: str) -> tuple[str, ...]:
    """Return the command line of ``airflow`` in this virtual environment."""
    return (sys.executable, "-m", "airflow", *arguments)


def airflow_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that every Airflow component and task shares."""
    folder = _folder(settings)
    airflow_password(settings)
    keys = _remembered(folder / "secrets.json", _new_secrets)
    url = airflow_url(settings)
    config: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": settings.home / "dags",
            "plugins_folder": settings.home / "plugins",
            "load_examples": False,
            # The stack exists to run these DAGs; a paused one would look like a broken one.
            "dags_are_paused_at_creation": False,
            "executor": "LocalExecutor",
            "parallelism": 4,
            "min_serialized_dag_update_interval": 5,
            "execution_api_server_url": f"{url}/execution/",
            "fernet_key": keys["fernet_key"],
            "hostname_callable": "socket.gethostname",  # the default asks DNS, and may wait for it
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": folder / "passwords.json",
            "test_connection": "Enabled",
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{_database(settings)}"},
        "api": {"host": LOOPBACK, "port": settings.airflow_port, "base_url": url, "secret_key": keys["api_secret"]},
        "api_auth": {"jwt_secret": keys["jwt_secret"]},
        # A changed DAG file shows after seconds; an unchanged one is rarely parsed again.
        "dag_processor": {"refresh_interval": 10, "min_file_process_interval": 60},
        "logging": {"base_log_folder": folder / "logs"},
        "usage_data_collection": {"enabled": False},
    }
    return {
        "AIRFLOW_HOME": str(folder),
        **{
            f"AIRFLOW__{section.upper()}__{option.upper()}": str(value)
            for section, options in config.items()
            for option, value in options.items()
        },
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections(settings).items()},
        # Otherwise torch's idle threads spin on the cores that the task next to it needs.
        "OMP_WAIT_POLICY": "PASSIVE",
        "NO_PROXY": _without_proxy("NO_PROXY"),
        "no_proxy": _without_proxy("no_proxy"),
    }


def connections(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return Airflow's connections to the three servers, by connection id."""
    mongodb, rabbitmq, qdrant = (urlsplit(url) for url in (settings.mongodb, settings.rabbitmq, settings.qdrant))
    # Not urlsplit's host: MongoDB's may be several with a port each.
    login, _, hosts = mongodb.netloc.rpartition("@")
    user, _, password = login.partition(":")
    database = mongodb.path.strip("/")
    extra = dict(parse_qsl(mongodb.query))
    if mongodb.scheme == "mongodb+srv":
        extra["srv"] = "true"
    if user and not database:
        extra.setdefault("authSource", "admin")  # as without a database in the URL; with one, MongoDB would ask that
    return {
        "mongo_default": {
            "conn_type": "mongo",
            "host": hosts,
            "login": unquote(user) or None,
            "password": unquote(password) or None,
            "schema": database or settings.mongodb_database,
            "extra": extra,
        },
        "rabbitmq_default": {
            "conn_type": "rabbitmq",
            "host": rabbitmq.hostname,
            "port": rabbitmq.port or (5671 if rabbitmq.scheme == "amqps" else 5672),
            "login": unquote(rabbitmq.username or "guest"),
            "password": unquote(rabbitmq.password or "guest"),
            "schema": unquote(rabbitmq.path.removeprefix("/")) or "/",
            "extra": {"ssl": rabbitmq.scheme == "amqps"},
        },
        "qdrant_default": {
            "conn_type": "qdrant",
            "password": settings.qdrant_api_key,
            "extra": {"url": qdrant.geturl()},
        },
    }


def database_is_current(settings: Settings) -> bool:
    """Tell whether the metadata database was prepared by this version of Airflow, with these pools."""
    stamp = _stamp(settings)
    return _database(settings).is_file() and stamp.is_file() and stamp.read_text() == _fingerprint(settings)


def prepare_database(settings: Settings) -> None:
    """Create or migrate the metadata database and import the pools of ``dags/pools.json``, when there is one.

    Raises:
        LocalStackError: Airflow refuses; its own words are on standard error.
    """
    environment = os.environ | airflow_environment(settings)
    commands = [airflow_command("db", "migrate")]
    if (pools := _pools(settings)).is_file():
        commands.append(airflow_command("pools", "import", str(pools)))
    for command in commands:
        if subprocess.run(command, env=environment, check=False).returncode:
            raise LocalStackError(f"`airflow {' '.join(command[3:])}` failed; its words are above")
    with sqlite3.connect(_database(settings)) as database:
        # Readers and the writer no longer wait for each other; the mode stays with the file.
        database.execute("PRAGMA journal_mode=WAL")
    _stamp(settings).write_text(_fingerprint(settings))


def _folder(settings: Settings) -> Path:
    return settings.data / "airflow"


def _database(settings: Settings) -> Path:
    return _folder(settings) / "airflow.db"


def _pools(settings: Settings) -> Path:
    return settings.home / "dags" / "pools.json"


def _stamp(settings: Settings) -> Path:
    return _folder(settings) / "prepared"


def _fingerprint(settings: Settings) -> str:
    pools = _pools(settings)
    digest = hashlib.sha256(pools.read_bytes()).hexdigest() if pools.is_file() else "none"
    return f"airflow {version('apache-airflow')}, pools {digest}\n"


def _new_secrets() -> dict[str, str]:
    return {
        "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "jwt_secret": secrets.token_urlsafe(32),
        "api_secret": secrets.token_urlsafe(32),
    }


def _remembered(file: Path, make: Callable[[], dict[str, str]]) -> dict[str, str]:
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps(make()) + "\n")
    return dict(json.loads(file.read_text()))


def _without_proxy(variable: str) -> str:
    """Return ``variable`` with the loopback addresses added: tasks talk to Airflow's API through them."""
    present = [host for host in os.environ.get(variable, "").split(",") if host]
    return ",".join(dict.fromkeys([*present, LOOPBACK, "localhost"]))


if __name__ == "__main__":
    try:
        prepare_database(get_settings())
    except LocalStackError as error:
        sys.exit(str(error))
