"""Whose dataset is worth building again: so that a crawl, which changes the feature store every minute, makes one.

Each build leaves behind when it began, and what it read: the content's hash of each document. An author is due when
enough documents are new, changed or gone since then, and the last build began long enough ago, whatever came of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from llmtwin.datasets.source import authors, content_hashes, slug
from llmtwin.errors import DatasetError, TeacherError
from llmtwin.files import write_json
from llmtwin.settings import Settings

_FILE = "snapshot.json"


class Snapshot(BaseModel):
    """What the last build saw."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    began_at: AwareDatetime | None = None
    documents: dict[UUID, str] = {}
    """Hashes of content, of the last build that came to an end."""


def due_authors(settings: Settings, now: datetime | None = None) -> list[str]:
    """Return the full names of the authors whose dataset is worth building now, sorted.

    Args:
        settings: ``dataset_min_changes`` and ``dataset_min_hours`` say when.
        now: By default the present.

    Raises:
        VectorStoreError: Qdrant is down or refused.
        DatasetError: A file that an earlier build left is damaged.
    """
    stored = content_hashes(settings)
    latest = (now or datetime.now(UTC)) - timedelta(hours=settings.dataset_min_hours)
    due = []
    for author_id, name in authors(settings).items():
        last = _read(settings.datasets / slug(name) / _FILE)
        if last.began_at and last.began_at > latest:
            continue
        if _changes(last.documents, stored.get(author_id, {})) >= settings.dataset_min_changes:
            due.append(name)
    return sorted(due)


@contextmanager
def noting(folder: Path, documents: dict[UUID, str]) -> Iterator[None]:
    """Note that a build begins, and what it has read once it comes to an end.

    That the documents do not make a dataset is an end too: they would not the next time. A teacher that is down, a
    full disk and a kill are none.
    """
    before = _read(folder / _FILE)
    began = Snapshot(began_at=datetime.now(UTC), documents=before.documents)
    _write(folder, began)
    try:
        yield
    except TeacherError:
        raise
    except DatasetError:
        _write(folder, began.model_copy(update={"documents": documents}))
        raise
    _write(folder, began.model_copy(update={"documents": documents}))


def _read(file: Path) -> Snapshot:
    try:
        return Snapshot.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Snapshot()
    except ValidationError as error:
        raise DatasetError(f"{file} is damaged: remove it, and the next build writes it anew") from error


def _write(folder: Path, snapshot: Snapshot) -> None:
    write_json(folder / _FILE, snapshot.model_dump(mode="json"))


def _changes(before: dict[UUID, str], now: dict[UUID, str]) -> int:
    return sum(before.get(id_) != now.get(id_) for id_ in before.keys() | now.keys())
