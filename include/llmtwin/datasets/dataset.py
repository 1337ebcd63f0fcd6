"""A built dataset: a folder that nothing changes any more, and how it is found by name.

::

    <datasets>/<name>/<version>/sft/{train,validation,test}.parquet
                                preferences/{train,validation}.parquet    when the teacher wrote any
                                README.md                                 the dataset card
                                dataset.json                              the manifest
    <datasets>/<name>/builds.json                                         which version was built when
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from llmtwin.datasets.rows import Row
from llmtwin.datasets.source import slug
from llmtwin.errors import DatasetError
from llmtwin.settings import Settings

MANIFEST = "dataset.json"
# 2: an extract with passages has a plain row beside it; in 1 it had none.
FORMAT = 2
BUILDS = "builds.json"


class Build(BaseModel):
    """That a version was built, or built again with the same result."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: str
    built_at: AwareDatetime


@dataclass(frozen=True)
class Dataset:
    """One version of one author's dataset."""

    folder: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """All that is known about it: see docs/datasets.md.

        Raises:
            DatasetError: The file is missing or damaged.
        """
        try:
            manifest: dict[str, Any] = orjson.loads((self.folder / MANIFEST).read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            raise DatasetError(f"{self.folder} holds no readable {MANIFEST} ({error}): build it again") from error
        return manifest

    @property
    def name(self) -> str:
        """Whose it is, as a name of a folder."""
        return self.folder.parent.name

    @property
    def version(self) -> str:
        """The first 12 digits of the digest."""
        return self.folder.name

    @property
    def reference(self) -> str:
        """``name@version``, which finds exactly this one."""
        return f"{self.name}@{self.version}"

    @property
    def author(self) -> str | None:
        """Full name; None for everybody's."""
        author: str | None = self.manifest["author"]
        return author

    @property
    def digest(self) -> str:
        """SHA-256 of all it holds, hexadecimal."""
        return str(self.manifest["digest"])

    @property
    def built_at(self) -> datetime | None:
        """When it was last built here; None where it was copied from elsewhere."""
        times = [build.built_at for build in builds(self.folder.parent) if build.version == self.version]
        return max(times, default=None)

    def path(self, split: str, config: str = "sft") -> Path:
        """Return the Parquet file of a split.

        Raises:
            DatasetError: There is none; names those there are.
        """
        path = self.folder / config / f"{split}.parquet"
        if not path.is_file():
            there = ", ".join(sorted(str(file.relative_to(self.folder)) for file in self.folder.glob("*/*.parquet")))
            raise DatasetError(f"{self.reference} has no {config}/{split}.parquet: there is {there or 'none at all'}")
        return path

    def rows(self, split: str, config: str = "sft") -> list[Row]:
        """Return the rows of a split, ``train``, ``validation`` or ``test``, in order.

        Raises:
            DatasetError: There is no such split, or its file is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.path(split, config)
        try:
            rows: list[Row] = pq.read_table(path, memory_map=False, partitioning=None).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(f"{path} cannot be read ({error}): build the dataset again") from error
        return rows


def open_dataset(settings: Settings, reference: str) -> Dataset:
    """Return a dataset by its name, which means the newest version, or by ``name@version``.

    The author's full name will do for the name.

    Raises:
        DatasetError: There is no such one; names those there are.
    """
    name, _, version = reference.partition("@")
    folder = settings.datasets / slug(name)
    versions = _versions(folder)
    if not versions:
        names = ", ".join(sorted({one.name for one in datasets(settings)}))
        raise DatasetError(
            f"there is no dataset {name!r}: {'there is ' + names if names else 'none was built yet'}; "
            "`llmtwin datasets build AUTHOR` builds one"
        )
    if not version:
        return versions[-1]
    for dataset in versions:
        if dataset.version == version:
            return dataset
    known = ", ".join(dataset.version for dataset in versions)
    raise DatasetError(f"there is no version {version!r} of the dataset {folder.name}: there is {known}")


def datasets(settings: Settings) -> list[Dataset]:
    """Return all datasets, by name; the versions of each in the order they were built."""
    if not settings.datasets.is_dir():
        return []
    folders = sorted(folder for folder in settings.datasets.iterdir() if folder.is_dir())
    return [dataset for folder in folders for dataset in _versions(folder)]


def summary(dataset: Dataset) -> dict[str, Any]:
    """Return what is worth knowing of a dataset at a glance: its name, rows of each split, and the teacher's cost."""
    manifest = dataset.manifest
    counts = {split: sum(types.values()) for split, types in manifest["counts"]["sft"].items()}
    pairs = sum(sum(types.values()) for types in manifest["counts"].get("preferences", {}).values())
    teacher = manifest["teacher"]
    return {
        "dataset": dataset.reference,
        "digest": dataset.digest,
        **counts,
        "preferences": pairs,
        "teacher": teacher["model"] if teacher else None,
        "teacher_tokens": teacher["prompt_tokens"] + teacher["completion_tokens"] if teacher else 0,
        "teacher_cost": teacher["cost"] if teacher else 0.0,
    }


def builds(folder: Path) -> list[Build]:
    """Return the builds of one name, the oldest first; empty where there were none.

    Raises:
        DatasetError: Their file is damaged.
    """
    file = folder / BUILDS
    try:
        return [Build.model_validate(build) for build in orjson.loads(file.read_bytes())]
    except FileNotFoundError:
        return []
    except (orjson.JSONDecodeError, ValidationError, TypeError) as error:
        raise DatasetError(
            f"{file} is damaged: remove it, and the versions beside it are found by their names"
        ) from error


def _versions(folder: Path) -> list[Dataset]:
    if not folder.is_dir():
        return []
    order = {build.version: number for number, build in enumerate(builds(folder))}
    # A folder appears under its name only when it is whole.
    names = [file.parent.name for file in folder.glob(f"[!.]*/{MANIFEST}")]
    return [Dataset(folder / name) for name in sorted(names, key=lambda name: (order.get(name, -1), name))]
