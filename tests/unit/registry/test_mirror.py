"""The registry copied to an object store and back: a store in memory, and a shared folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
from tests.adapters import BASE_MODEL, save_adapter

from llmtwin.errors import RegistryError
from llmtwin.registry import Registry, pull, push


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    name = uuid4().hex
    yield f"memory://{name}/twin" if request.param == "memory" else f"file://{tmp_path / 'share'}"
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()


@pytest.fixture
def trainer(tmp_path: Path) -> Registry:
    """The registry of the machine that trains."""
    return Registry(tmp_path / "trainer")


@pytest.fixture
def server(tmp_path: Path) -> Registry:
    """The registry of the machine that serves."""
    return Registry(tmp_path / "server")


def train(registry: Registry, tmp_path: Path, seed: int) -> str:
    folder = save_adapter(tmp_path / f"trained-{uuid4().hex}", seed=seed)
    return registry.register(folder, BASE_MODEL, 16).version


def test_what_one_machine_trains_another_one_serves(
    trainer: Registry, server: Registry, tmp_path: Path, url: str
) -> None:
    for seed in (1, 2):
        train(trainer, tmp_path, seed)
    assert push(trainer, url) == ["1", "2"]
    assert push(trainer, url) == []
    assert pull(server, url) == ["1", "2"]
    assert server.versions() == trainer.versions()
    assert server.verify("2") == trainer.get("2")
    assert all(file.stat().st_mode & 0o222 == 0 for file in server.folder_of("1").iterdir())
    server.accept("1")
    server.promote("1")
    assert push(server, url) == []
    assert pull(trainer, url) == []
    assert trainer.production() == server.production()
    train(trainer, tmp_path, 3)
    assert push(trainer, url) == ["3"]
    assert pull(server, url) == ["3"]
    assert [version.version for version in server.versions()] == ["1", "2", "3"]
    assert server.production() is not None


def test_where_both_sides_have_changed_neither_is_overwritten(
    trainer: Registry, server: Registry, tmp_path: Path, url: str
) -> None:
    train(trainer, tmp_path, 1)
    push(trainer, url)
    pull(server, url)
    server.archive("1", "too shrill")
    push(server, url)
    train(trainer, tmp_path, 2)
    with pytest.raises(RegistryError, match=r"has changed since: pull first"):
        push(trainer, url)
    with pytest.raises(RegistryError, match=r"this registry has changed since: push first"):
        pull(trainer, url)
    assert trainer.get("1").reason is None
    assert [version.version for version in trainer.versions()] == ["1", "2"]


def test_a_registry_that_was_never_copied_is_not_taken_for_another(
    trainer: Registry, server: Registry, tmp_path: Path, url: str
) -> None:
    train(trainer, tmp_path, 1)
    push(trainer, url)
    train(server, tmp_path, 2)
    with pytest.raises(RegistryError, match="pull first"):
        push(server, url)
    with pytest.raises(RegistryError, match="push first"):
        pull(server, url)


def test_what_was_changed_in_the_store_is_not_taken_over(
    trainer: Registry, server: Registry, tmp_path: Path, url: str
) -> None:
    train(trainer, tmp_path, 1)
    push(trainer, url)
    files, root = fsspec.core.url_to_fs(url)
    path = f"{root}/adapters/1/adapter_model.safetensors"
    content = files.cat_file(path)
    for damaged in (content[:-1] + bytes([content[-1] ^ 1]), content[:100]):
        files.pipe_file(path, damaged)
        with pytest.raises(RegistryError):
            pull(server, url)
        assert server.versions() == []
        assert list(server.adapters.iterdir()) == []
    files.pipe_file(path, content)
    assert pull(server, url) == ["1"]


@pytest.mark.parametrize("left", ["other weights", "half of the files"])
def test_a_folder_that_a_crash_left_is_not_taken_for_what_the_store_has(
    trainer: Registry, server: Registry, tmp_path: Path, url: str, left: str
) -> None:
    train(trainer, tmp_path, 1)
    push(trainer, url)
    orphan = save_adapter(server.adapters / "1", seed=2)
    if left == "half of the files":
        (orphan / "adapter_config.json").unlink()
    weights = (orphan / "adapter_model.safetensors").read_bytes()
    assert pull(server, url) == ["1"]
    assert server.verify("1") == trainer.get("1")
    [aside] = server.adapters.glob(".*")
    assert (aside / "adapter_model.safetensors").read_bytes() == weights
    assert pull(server, url) == []
    train(trainer, tmp_path, 3)
    assert push(trainer, url) == ["2"]
    assert pull(server, url) == ["2"]


def test_a_store_that_does_not_answer_or_does_not_exist_is_an_error(trainer: Registry, tmp_path: Path) -> None:
    train(trainer, tmp_path, 1)
    (tmp_path / "a file").write_text("")
    for url in (f"file://{tmp_path}/a file/twin", "nonsense://bucket/twin"):
        with pytest.raises(RegistryError, match="cannot be"):
            push(trainer, url)
    assert trainer.get("1").version == "1"


def test_a_damaged_index_in_the_store_is_an_error(trainer: Registry, tmp_path: Path, url: str) -> None:
    train(trainer, tmp_path, 1)
    files, root = fsspec.core.url_to_fs(url)
    files.makedirs(root, exist_ok=True)
    files.pipe_file(f"{root}/index.json", b"{")
    for copy in (push, pull):
        with pytest.raises(RegistryError, match=r"index\.json is damaged"):
            copy(trainer, url)
