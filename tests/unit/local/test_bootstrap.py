"""Set-up decisions that need no network; the set-up itself is what `make test` begins with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from llmtwin.local import bootstrap
from llmtwin.sources.browser.executable import NAMES


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("requirements.txt", "requirements-dev.txt", "pyproject.toml"):
        (tmp_path / name).write_text(f"{name}\n")
    venv = tmp_path / ".venv"
    monkeypatch.setattr(bootstrap, "HOME", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", venv)
    monkeypatch.setattr(bootstrap, "PYTHON", venv / "bin" / "python")
    monkeypatch.setattr(bootstrap, "STAMP", venv / "stamp")
    monkeypatch.setattr(bootstrap, "INSTALLING", venv / "unfinished")
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    return tmp_path


def stamp(checkout: Path, *names: str) -> None:
    bootstrap.STAMP.write_text(json.dumps([bootstrap.fingerprint(checkout / name) for name in names]))


def test_a_stamp_of_the_same_requirements_means_installed(checkout: Path) -> None:
    assert not bootstrap.is_installed(checkout / "requirements.txt")
    stamp(checkout, "requirements.txt")
    assert bootstrap.is_installed(checkout / "requirements.txt")
    assert not bootstrap.is_installed(checkout / "requirements-dev.txt")


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_a_changed_file_means_not_installed(checkout: Path, name: str) -> None:
    stamp(checkout, "requirements.txt", "requirements-dev.txt")
    (checkout / name).write_text("changed\n")
    assert not bootstrap.is_installed(checkout / "requirements.txt")
    assert not bootstrap.is_installed(checkout / "requirements-dev.txt")


def test_a_new_package_means_not_installed(checkout: Path) -> None:
    stamp(checkout, "requirements.txt")
    package = checkout / "plugins" / "new"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    assert not bootstrap.is_installed(checkout / "requirements.txt")


def test_an_interrupted_or_broken_installation_means_not_installed(checkout: Path) -> None:
    stamp(checkout, "requirements.txt")
    bootstrap.INSTALLING.touch()
    assert not bootstrap.is_installed(checkout / "requirements.txt")
    bootstrap.INSTALLING.unlink()
    bootstrap.PYTHON.unlink()
    assert not bootstrap.is_installed(checkout / "requirements.txt")


def test_without_root_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SystemExit) as caught:
        bootstrap.install_packages(["git", "rabbitmq-server"])
    assert "sudo apt-get install git rabbitmq-server" in str(caught.value)
    assert "RABBITMQ_URL" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["RABBITMQ_URL=amqp://there", 'LLMTWIN_RABBITMQ_URL = "amqp://there"'])
def test_a_broker_that_dotenv_names_needs_no_rabbitmq_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(bootstrap, "HOME", tmp_path)
    for name in ("RABBITMQ_URL", "LLMTWIN_RABBITMQ_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text("# RABBITMQ_URL=amqp://not-this\nLLMTWIN_RABBITMQ_URL=\n")
    assert not bootstrap.runs_elsewhere("RABBITMQ_URL")
    (tmp_path / ".env").write_text(f"{line}\n")
    assert bootstrap.runs_elsewhere("RABBITMQ_URL")


def test_a_broker_elsewhere_needs_no_rabbitmq_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "HOME", tmp_path)
    monkeypatch.setattr(bootstrap, "_has_rabbitmq", lambda: False)
    monkeypatch.delenv("LLMTWIN_RABBITMQ_URL", raising=False)
    monkeypatch.delenv("RABBITMQ_URL", raising=False)
    assert "rabbitmq-server" in bootstrap.missing_packages(with_servers=True)
    assert "rabbitmq-server" not in bootstrap.missing_packages(with_servers=False)
    monkeypatch.setenv("RABBITMQ_URL", "amqp://elsewhere")
    assert "rabbitmq-server" not in bootstrap.missing_packages(with_servers=True)


def test_tests_need_a_browser_unless_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "HOME", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LLMTWIN_BROWSER_EXECUTABLE", raising=False)
    assert bootstrap.missing_browser() == ["chromium"]
    (tmp_path / ".env").write_text("LLMTWIN_BROWSER_EXECUTABLE=/opt/chrome\n")
    assert bootstrap.missing_browser() == []
    (tmp_path / ".env").unlink()
    (tmp_path / "google-chrome").touch(0o755)
    assert bootstrap.missing_browser() == []


def test_bootstrap_and_crawls_look_for_the_same_browsers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "HOME", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LLMTWIN_BROWSER_EXECUTABLE", raising=False)
    for name in NAMES:
        (tmp_path / name).touch(0o755)
        assert bootstrap.missing_browser() == []
        (tmp_path / name).unlink()


def test_it_needs_nothing_but_the_standard_library() -> None:
    command = [sys.executable, "-I", "-S", str(bootstrap.__file__), "--help"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
