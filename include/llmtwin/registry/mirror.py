"""The registry in an object store, so that another machine may train, serve, or start again from nothing.

::

    <url>/index.json, <url>/adapters/<version>/…     as in the folder

vLLM loads adapters from a folder, so the folder stays what is read; the store is copied to and from. Any store that
fsspec knows: ``s3://bucket/path`` with s3fs installed, ``gs://`` with gcsfs, ``file:///mnt/share``. The registry notes
the state in which both were the same; whichever side has changed since is copied to the other, and where both have,
neither is overwritten. Stores have no lock across machines: two pushes in the same second are not told apart.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from llmtwin.errors import AdapterError, RegistryError
from llmtwin.files import durable, sync_folder
from llmtwin.registry.adapter import CONFIGURATION, WEIGHTS, digest_of, read_adapter
from llmtwin.registry.index import Index
from llmtwin.registry.registry import Registry
from llmtwin.registry.version import Version

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_FILES = (CONFIGURATION, WEIGHTS)
_SAME = "mirrored.sha256"


def push(registry: Registry, url: str) -> list[str]:
    """Make the store what the registry is, the index last; return the versions that were copied.

    Raises:
        RegistryError: The store does not answer, or has changed since both were the same: pull first.
    """
    with _store(url) as (files, root), registry.locked() as index:
        remote = _read_index(files, root)
        if remote.versions and _state(remote) not in (_state(index), _last_state(registry)):
            raise RegistryError(f"the registry at {url} has changed since: pull first, with `llmtwin registry pull`")
        known = {version.version for version in remote.versions}
        missing = [version.version for version in index.versions if version.version not in known]
        for version in missing:
            files.makedirs(f"{root}/adapters/{version}", exist_ok=True)
            for name in _FILES:
                files.put_file(str(registry.adapters / version / name), f"{root}/adapters/{version}/{name}")
        files.pipe_file(f"{root}/index.json", index.to_json())
        _remember(registry, index)
        return missing


def pull(registry: Registry, url: str) -> list[str]:
    """Make the registry what the store is; return the versions that were copied.

    A folder that is not what the store registered under its name, as a crash or a registry before may have left it, is
    put aside and kept.

    Raises:
        RegistryError: The store does not answer, its files are damaged, or the registry has changed since both were the
            same: push first.
    """
    with _store(url) as (files, root), registry.locked() as index:
        remote = _read_index(files, root)
        if index.versions and _state(index) not in (_state(remote), _last_state(registry)):
            raise RegistryError("this registry has changed since: push first, with `llmtwin registry push`")
        missing = [one for one in remote.versions if not _is_there(registry, one)]
        for version in missing:
            _fetch(files, f"{root}/adapters/{version.version}", version, registry.adapters)
        index.versions, index.history = remote.versions, remote.history
        _remember(registry, remote)
        return [version.version for version in missing]


@contextmanager
def _store(url: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    """Yield the file system behind a URL and the path in it; its errors are ours."""
    from fsspec.core import url_to_fs

    try:
        files, root = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise RegistryError(f"LLMTWIN_REGISTRY_URL: {url} cannot be used: {error}") from error
    try:
        yield files, root.rstrip("/")
    except OSError as error:
        raise RegistryError(f"the registry at {url} cannot be reached or copied: {error!r}") from error


def _read_index(files: AbstractFileSystem, root: str) -> Index:
    try:
        return Index.model_validate_json(files.cat_file(f"{root}/index.json"))
    except FileNotFoundError:
        return Index()
    except ValidationError as error:
        raise RegistryError(f"{root}/index.json is damaged ({error.errors()[0]['msg']})") from error


def _state(index: Index) -> str:
    return hashlib.sha256(index.to_json()).hexdigest()


def _last_state(registry: Registry) -> str | None:
    """Return the state in which registry and store were the same."""
    file = registry.folder / _SAME
    return file.read_text() if file.is_file() else None


def _remember(registry: Registry, index: Index) -> None:
    with durable(registry.folder / _SAME) as file:
        file.write(_state(index).encode())


def _is_there(registry: Registry, version: Version) -> bool:
    folder = registry.adapters / version.version
    try:
        return digest_of(folder) == version.digest and bool(read_adapter(folder))
    except (AdapterError, OSError):
        return False


def _fetch(files: AbstractFileSystem, source: str, version: Version, adapters: Path) -> None:
    """Make a version's folder appear whole, once its weights are what the index says."""
    working = Path(tempfile.mkdtemp(prefix=".fetching-", dir=adapters))
    try:
        for name in _FILES:
            files.get_file(f"{source}/{name}", str(working / name))
            (working / name).chmod(0o444)
        read_adapter(working)
        if digest_of(working) != version.digest:
            raise RegistryError(f"{source} is not what was registered as version {version.version}")
        working.chmod(0o755)
        target = adapters / version.version
        if target.exists():
            target.rename(tempfile.mkdtemp(prefix=f".{target.name}-replaced-", dir=adapters))
        working.rename(target)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    sync_folder(adapters)
