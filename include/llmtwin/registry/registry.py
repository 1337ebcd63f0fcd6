"""The registry on disk.

::

    <folder>/index.json              every version and its status; replaced as a whole
    <folder>/adapters/<version>/     adapter_config.json, adapter_model.safetensors; read-only, never changed

A version's folder is there before the index names it, so whoever reads needs no lock. Writers take turns.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import EllipsisType

from filelock import FileLock, Timeout
from pydantic import ValidationError

from llmtwin.errors import RegistryError
from llmtwin.files import durable, sync_folder
from llmtwin.registry.adapter import digest_of, read_adapter
from llmtwin.registry.index import Index
from llmtwin.registry.version import Lineage, Status, Version

_LOCK_SECONDS = 30.0


class Registry:
    """The versions of the twin.

    Args:
        folder: Where they lie; need not exist before the first one is registered.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.adapters = self.folder / "adapters"
        self._index = self.folder / "index.json"

    def versions(self) -> list[Version]:
        """Return all versions, the oldest first.

        Raises:
            RegistryError: The index is damaged.
        """
        return self._read().versions

    def get(self, version: str) -> Version:
        """Return one version.

        Raises:
            RegistryError: There is none of this name, or the index is damaged.
        """
        return self._read().get(version)

    def production(self) -> Version | None:
        """Return the version that is served as ``twin``; None while there is none, and the base model answers.

        Raises:
            RegistryError: The index is damaged.
        """
        return self._read().production()

    def folder_of(self, version: str) -> Path:
        """Return the folder of a version's adapter.

        Raises:
            RegistryError: There is no such version.
        """
        return self.adapters / self.get(version).version

    def verify(self, version: str) -> Version:
        """Return a version after comparing its weights with what was registered.

        Raises:
            RegistryError: There is no such version, or its files are damaged or not what they were.
        """
        found = self.get(version)
        folder = self.folder_of(version)
        read_adapter(folder)
        if digest_of(folder) != found.digest:
            raise RegistryError(f"version {version}: {folder} is not what was registered: promote another version")
        return found

    def register(self, source: Path, base_model: str, max_rank: int, lineage: Lineage | None = None) -> Version:
        """Copy an adapter into the registry, as a candidate under the next number.

        Args:
            source: The folder that ``peft`` saved.
            base_model: The model that is served; hub id or folder.
            max_rank: The highest rank that is served.
            lineage: Where it came from.

        Raises:
            AdapterError: The folder holds no whole LoRA adapter that fits what is served.
            RegistryError: The index is damaged, or another writer does not end.
        """
        adapter = read_adapter(source)
        adapter.require_servable(base_model, max_rank)
        with self.locked() as index:
            number = 1 + max([0, *(int(name) for name in self._taken(index) if name.isdecimal())])
            target = self.adapters / str(number)
            self._copy(adapter.files, target)
            version = Version(
                version=target.name,
                status=Status.CANDIDATE,
                base_model=adapter.base_model,
                rank=adapter.rank,
                digest=digest_of(target),
                created_at=datetime.now(UTC),
                lineage=lineage,
            )
            index.versions.append(version)
        return version

    def waiting(self, versions: Collection[str]) -> list[Version]:
        """Return which of these are candidates that nobody has taken up, the oldest first.

        Raises:
            RegistryError: The index is damaged.
        """
        return self._read().waiting(versions)

    def take_up(self, versions: Collection[str], by: str) -> Version | None:
        """Return the one of these candidates that has waited longest, and note that it does not wait any more.

        Args:
            versions: Which may be taken.
            by: Who takes it; whoever has taken one gets the same one again.

        Returns:
            The version; None: none of them waits.

        Raises:
            RegistryError: The index is damaged, or another writer does not end.
        """
        with self.locked() as index:
            return index.take_up(versions, by)

    def accept(self, version: str) -> Version:
        """Say that a candidate may go into production.

        Raises:
            RegistryError: There is no such version, or it is no candidate.
        """
        with self.locked() as index:
            return index.move(version, Status.ACCEPTED, {Status.CANDIDATE})

    def promote(self, version: str, *, over: str | EllipsisType | None = ...) -> Version:
        """Serve an accepted version as ``twin``, or one that was so before. The one served until now is archived.

        Args:
            version: Which one.
            over: The version that must be in production at that moment, None for none; by default any.

        Raises:
            RegistryError: There is no such version, it was never accepted, or another one is in production.
        """
        with self.locked() as index:
            found = index.get(version)
            was_served = found.status is Status.ARCHIVED and found.promoted_at is not None
            if found.status is not Status.ACCEPTED and not was_served:
                raise RegistryError(f"version {version} is {found.status}: accept it before it is promoted")
            index.require_production(over)
            index.put_into_production(version, f"version {version} took over")
            index.history.append(version)
            return index.get(version)

    def before(self) -> Version | None:
        """Return the version that was served before the one in production; None: the base model was.

        Raises:
            RegistryError: None is in production, so nothing was served before.
        """
        return self._read().before()

    def rollback(self, *, over: str | EllipsisType | None = ...) -> Version | None:
        """Serve again what was served before the version in production, which is archived.

        Args:
            over: As for `promote`.

        Returns:
            The version; None: the base model answers again.

        Raises:
            RegistryError: Nothing was served before, or another one is in production.
        """
        with self.locked() as index:
            index.require_production(over)
            before = index.before()
            index.history.pop()
            to = f"version {before.version}" if before else "the base model"
            index.put_into_production(before.version if before else None, f"rolled back to {to}")
            return index.get(before.version) if before else None

    def require_production(self, version: str | None) -> None:
        """Make sure that this version is in production; None: that none is.

        Raises:
            RegistryError: It is another one.
        """
        self._read().require_production(version)

    def archive(self, version: str, reason: str | None = None) -> Version:
        """Lay aside a version that is not to be served.

        Args:
            version: Which one.
            reason: Why, in words; shown wherever versions are listed.

        Raises:
            RegistryError: There is no such version, or it is in production.
        """
        with self.locked() as index:
            return index.move(version, Status.ARCHIVED, {Status.CANDIDATE, Status.ACCEPTED}, reason)

    @contextmanager
    def locked(self) -> Iterator[Index]:
        """Hold the lock; the index is written when the block ends without an error.

        Raises:
            RegistryError: The index is damaged, or another writer does not end.
        """
        self.adapters.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "index.lock", timeout=_LOCK_SECONDS):
                index = self._read()
                yield index
                with durable(self._index) as file:
                    file.write(index.to_json())
        except Timeout as error:
            raise RegistryError(
                f"another program has been writing to {self.folder} for {_LOCK_SECONDS:.0f} s"
            ) from error

    def _read(self) -> Index:
        try:
            return Index.model_validate_json(self._index.read_bytes())
        except FileNotFoundError:
            return Index()
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise RegistryError(f"{self._index} is damaged ({reason}): restore it from a backup") from error

    def _taken(self, index: Index) -> set[str]:
        """Return every version's name, also of a folder that a crash left without its line in the index."""
        return {version.version for version in index.versions} | {path.name for path in self.adapters.iterdir()}

    def _copy(self, files: tuple[Path, ...], target: Path) -> None:
        """Make ``target`` appear with all files, safe from a power cut and from being written to."""
        working = Path(tempfile.mkdtemp(prefix=".registering-", dir=self.adapters))
        try:
            for file in files:
                with file.open("rb") as source, durable(working / file.name) as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
                (working / file.name).chmod(0o444)
            working.chmod(0o755)
            working.rename(target)
        finally:
            shutil.rmtree(working, ignore_errors=True)
        sync_folder(self.adapters)
