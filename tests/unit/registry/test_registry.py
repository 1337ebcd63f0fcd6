from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.adapters import BASE_MODEL, save_adapter

from llmtwin.errors import AdapterError, RegistryError
from llmtwin.registry import Lineage, Registry, Status, Version


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def register(registry: Registry, tmp_path: Path, seed: int = 0) -> Version:
    return registry.register(save_adapter(tmp_path / f"trained-{seed}", seed=seed), BASE_MODEL, max_rank=16)


def serve(registry: Registry, tmp_path: Path, seed: int) -> Version:
    version = register(registry, tmp_path, seed).version
    registry.accept(version)
    return registry.promote(version)


def test_an_empty_registry_has_nothing_in_production_and_creates_nothing(registry: Registry) -> None:
    assert registry.versions() == []
    assert registry.production() is None
    assert not registry.folder.exists()


def test_a_registered_adapter_is_a_candidate_with_files_of_its_own(registry: Registry, tmp_path: Path) -> None:
    version = register(registry, tmp_path)
    assert (version.version, version.status, version.rank, version.served_name) == ("1", Status.CANDIDATE, 8, "twin@1")
    assert version.base_model == BASE_MODEL
    source, folder = tmp_path / "trained-0", registry.folder_of("1")
    assert folder == registry.folder / "adapters" / "1"
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    for file in folder.iterdir():
        assert file.read_bytes() == (source / file.name).read_bytes()
        assert file.stat().st_mode & 0o222 == 0
    assert registry.versions() == [version]
    assert registry.production() is None


def test_the_next_reader_sees_the_same(registry: Registry, tmp_path: Path) -> None:
    version = serve(registry, tmp_path, 1)
    assert Registry(registry.folder).production() == version == Registry(registry.folder).get("1")


def test_a_version_goes_from_candidate_to_production_and_archives_the_one_before(
    registry: Registry, tmp_path: Path
) -> None:
    serve(registry, tmp_path, 1)
    second = serve(registry, tmp_path, 2)
    assert [version.status for version in registry.versions()] == [Status.ARCHIVED, Status.PRODUCTION]
    assert registry.production() == second
    assert second.promoted_at is not None


def test_only_what_was_accepted_is_promoted(registry: Registry, tmp_path: Path) -> None:
    register(registry, tmp_path)
    with pytest.raises(RegistryError, match="version 1 is candidate: accept it"):
        registry.promote("1")
    registry.archive("1")
    with pytest.raises(RegistryError, match="version 1 is archived: accept it"):
        registry.promote("1")
    assert registry.production() is None


def test_a_status_is_not_taken_twice(registry: Registry, tmp_path: Path) -> None:
    serve(registry, tmp_path, 1)
    with pytest.raises(RegistryError, match="production and cannot become accepted"):
        registry.accept("1")
    with pytest.raises(RegistryError, match="production and cannot become archived"):
        registry.archive("1")


def test_a_version_says_where_it_came_from_and_why_it_was_laid_aside(registry: Registry, tmp_path: Path) -> None:
    lineage = Lineage(author="Ana Núñez", dataset="ana-nunez@0123456789ab", metrics={"eval_loss": 2.5})
    folder = save_adapter(tmp_path / "trained")
    assert registry.register(folder, BASE_MODEL, max_rank=16, lineage=lineage).lineage == lineage
    registry.archive("1", "its answers say the same thing again and again")
    read = Registry(registry.folder).get("1")
    assert (read.lineage, read.reason) == (lineage, "its answers say the same thing again and again")


def test_a_version_that_another_replaces_says_so_until_it_is_back(registry: Registry, tmp_path: Path) -> None:
    serve(registry, tmp_path, 1)
    serve(registry, tmp_path, 2)
    assert registry.get("1").reason == "version 2 took over"
    assert registry.rollback().reason is None


def test_an_index_from_before_there_was_lineage_is_read(registry: Registry, tmp_path: Path) -> None:
    register(registry, tmp_path)
    index = registry.folder / "index.json"
    content = json.loads(index.read_text())
    for version in content["versions"]:
        del version["lineage"], version["reason"]
    index.write_text(json.dumps(content))
    assert registry.get("1").lineage is None
    assert registry.accept("1").status is Status.ACCEPTED


def test_lineage_of_a_newer_llmtwin_is_read(registry: Registry, tmp_path: Path) -> None:
    registry.register(save_adapter(tmp_path / "trained"), BASE_MODEL, max_rank=16, lineage=Lineage(author="Ana Núñez"))
    index = registry.folder / "index.json"
    content = json.loads(index.read_text())
    content["versions"][0]["lineage"]["planet"] = "Earth"
    index.write_text(json.dumps(content))
    assert registry.get("1").lineage == Lineage(author="Ana Núñez")


def test_rollback_goes_back_one_version_at_a_time(registry: Registry, tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        serve(registry, tmp_path, seed)
    assert rolled_back_to(registry) == "2"
    assert registry.get("3").reason == "rolled back to version 2"
    assert rolled_back_to(registry) == "1"
    assert registry.promote("3").version == "3"
    assert rolled_back_to(registry) == "1"
    assert [version.status for version in registry.versions()].count(Status.PRODUCTION) == 1


def rolled_back_to(registry: Registry) -> str | None:
    before, version = registry.before(), registry.rollback()
    assert (before and before.version) == (version and version.version)
    assert registry.production() == version
    return version and version.version


def test_before_the_first_version_the_base_model_was_served(registry: Registry, tmp_path: Path) -> None:
    serve(registry, tmp_path, 1)
    assert rolled_back_to(registry) is None
    assert registry.get("1").reason == "rolled back to the base model"
    assert registry.promote("1").status is Status.PRODUCTION


def test_where_nothing_is_served_there_is_no_way_back(registry: Registry, tmp_path: Path) -> None:
    register(registry, tmp_path)
    with pytest.raises(RegistryError, match="no version is in production"):
        registry.rollback()
    with pytest.raises(RegistryError, match="no version is in production"):
        registry.before()


def test_a_switch_that_was_decided_over_another_version_is_refused(registry: Registry, tmp_path: Path) -> None:
    for seed in (1, 2):
        registry.accept(register(registry, tmp_path, seed).version)
    registry.promote("1", over=None)
    for over in (None, "2"):
        with pytest.raises(RegistryError, match="version 1 is in production by now, and not"):
            registry.promote("2", over=over)
        with pytest.raises(RegistryError, match="version 1 is in production by now, and not"):
            registry.rollback(over=over)
    assert registry.promote("2", over="1").status is Status.PRODUCTION
    assert registry.get("1").status is Status.ARCHIVED


def test_an_unknown_version_is_named_with_those_that_exist(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no version '7' in the registry: none yet"):
        registry.get("7")
    register(registry, tmp_path)
    for name in ("7", "../adapters/1", ""):
        with pytest.raises(RegistryError, match=r"in the registry: 1$"):
            registry.folder_of(name)


def test_what_cannot_be_served_leaves_no_trace(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(AdapterError):
        registry.register(save_adapter(tmp_path / "large", rank=64), BASE_MODEL, max_rank=16)
    with pytest.raises(AdapterError):
        registry.register(tmp_path / "missing", BASE_MODEL, max_rank=16)
    assert not registry.folder.exists()


def test_only_the_adapters_own_files_are_taken(registry: Registry, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "trained")
    (folder / "optimizer.pt").write_bytes(b"pickle")
    version = registry.register(folder, BASE_MODEL, max_rank=16)
    assert not (registry.folder_of(version.version) / "optimizer.pt").exists()


def test_a_changed_file_is_found_out(registry: Registry, tmp_path: Path) -> None:
    register(registry, tmp_path)
    assert registry.verify("1") == registry.get("1")
    weights = registry.folder_of("1") / "adapter_model.safetensors"
    weights.chmod(0o644)
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RegistryError, match="not what was registered"):
        registry.verify("1")


def test_a_number_that_a_crash_left_behind_is_not_used_again(registry: Registry, tmp_path: Path) -> None:
    register(registry, tmp_path)
    (registry.adapters / "2").mkdir()
    assert register(registry, tmp_path, 1).version == "3"


@pytest.mark.parametrize("text", ["", "{", '{"layout": 2}', '{"versions": [{"version": "../../etc"}]}'])
def test_a_damaged_index_is_reported_and_left_alone(registry: Registry, tmp_path: Path, text: str) -> None:
    register(registry, tmp_path)
    index = registry.folder / "index.json"
    index.write_text(text)
    with pytest.raises(RegistryError, match=r"index\.json is damaged"):
        registry.production()
    with pytest.raises(RegistryError, match=r"index\.json is damaged"):
        register(registry, tmp_path)
    assert index.read_text() == text


def test_writers_in_several_processes_lose_nothing(registry: Registry, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "trained")
    code = (
        "import sys; from pathlib import Path; from llmtwin.registry import Registry\n"
        "for _ in range(5): Registry(Path(sys.argv[1])).register(Path(sys.argv[2]), sys.argv[3], 16)"
    )
    command = [sys.executable, "-c", code, str(registry.folder), str(folder), BASE_MODEL]
    writers = [subprocess.Popen(command) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert sorted(int(version.version) for version in registry.versions()) == list(range(1, 16))
    assert json.loads((registry.folder / "index.json").read_text())["layout"] == 1


def test_candidates_are_taken_up_once_the_oldest_first(registry: Registry, tmp_path: Path) -> None:
    versions = {register(registry, tmp_path, seed).version for seed in range(4)}
    registry.archive("2")
    assert [version.version for version in registry.waiting(versions - {"1"})] == ["3", "4"]
    taken = registry.take_up(versions - {"1"}, "run 1")
    assert (taken, registry.get("3").taken_up_by) == (registry.get("3"), "run 1")
    assert registry.take_up(versions, "run 1") == taken
    assert [registry.take_up(versions, f"run {number}") for number in (2, 3)] == [registry.get("1"), registry.get("4")]
    assert (registry.take_up(versions, "run 4"), registry.waiting(versions)) == (None, [])
    assert registry.accept("3").taken_up_by == "run 1"
