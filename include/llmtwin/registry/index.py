"""What ``index.json`` holds: every version, and in which order they were in production."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from types import EllipsisType
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict

from llmtwin.errors import RegistryError
from llmtwin.registry.version import Status, Version


class Index(BaseModel):
    """The versions and their history. Its methods change it in memory only; `Registry` writes it."""

    model_config = ConfigDict(extra="forbid")

    layout: Literal[1] = 1
    versions: list[Version] = []
    history: list[str] = []
    """The versions that went into production one after the other; the last one is there now."""

    def get(self, version: str) -> Version:
        for found in self.versions:
            if found.version == version:
                return found
        known = ", ".join(found.version for found in self.versions) or "none yet"
        raise RegistryError(f"there is no version {version!r} in the registry: {known}")

    def move(self, version: str, to: Status, sources: set[Status], reason: str | None = None) -> Version:
        found = self.get(version)
        if found.status not in sources:
            raise RegistryError(f"version {version} is {found.status} and cannot become {to}")
        return self._replace(found.model_copy(update={"status": to, "reason": reason}))

    def waiting(self, versions: Collection[str]) -> list[Version]:
        waiting = [
            found
            for found in self.versions
            if found.version in versions and found.status is Status.CANDIDATE and found.taken_up_by is None
        ]
        return sorted(waiting, key=lambda found: found.created_at)

    def take_up(self, versions: Collection[str], by: str) -> Version | None:
        if mine := next((found for found in self.versions if found.taken_up_by == by), None):
            return mine
        first = next(iter(self.waiting(versions)), None)
        return self._replace(first.model_copy(update={"taken_up_by": by})) if first else None

    def production(self) -> Version | None:
        return next((found for found in self.versions if found.status is Status.PRODUCTION), None)

    def before(self) -> Version | None:
        if not self.history:
            raise RegistryError("no version is in production: there is nothing to roll back from")
        return self.get(self.history[-2]) if len(self.history) > 1 else None

    def require_production(self, version: str | EllipsisType | None) -> None:
        found = self.production()
        if version is not ... and (found.version if found else None) != version:
            now = f"version {found.version} is" if found else "no version is"
            raise RegistryError(f"{now} in production by now, and not {version or 'none'}: evaluate and decide again")

    def put_into_production(self, version: str | None, reason: str) -> None:
        """Archive what is there, for this reason; None leaves nothing in its place."""
        if found := self.production():
            self._replace(found.model_copy(update={"status": Status.ARCHIVED, "reason": reason}))
        if version:
            now = {"status": Status.PRODUCTION, "promoted_at": datetime.now(UTC), "reason": None}
            self._replace(self.get(version).model_copy(update=now))

    def _replace(self, version: Version) -> Version:
        self.versions = [version if found.version == version.version else found for found in self.versions]
        return version

    def to_json(self) -> bytes:
        """Return the file's content."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_INDENT_2)
