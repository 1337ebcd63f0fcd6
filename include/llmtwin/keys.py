"""API keys of the gateway: made once, shown once, kept as hashes only.

A key is 256 random bits, so one SHA-256 is enough: there is nothing to guess that salt or a slow hash would protect.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from llmtwin.errors import ApiKeyError
from llmtwin.files import write_json

PREFIX = "llmtwin-"


class ApiKey(BaseModel):
    """What is kept of a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$", description="whose it is; unique")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the key as the client sends it")
    created_at: datetime
    revoked_at: datetime | None = None


_KEYS = TypeAdapter(list[ApiKey])


class KeyFile:
    """The file that holds an installation's keys; re-read when it changes, so that a revoked key ends at once.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: list[ApiKey] = []

    def entries(self) -> list[ApiKey]:
        """Return all keys, revoked ones too, oldest first.

        Raises:
            ApiKeyError: The file cannot be read, or holds something else.
        """
        try:
            status = self.path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._keys = _KEYS.validate_json(self.path.read_bytes())
                self._seen = seen
        except FileNotFoundError as error:
            # A file that is taken away, if only to put another in its place, must not open the door.
            if self._seen is not None:
                raise ApiKeyError(
                    f"{self.path} is gone: put it back, or start the gateway anew to serve without keys"
                ) from error
        except (OSError, ValidationError) as error:
            raise ApiKeyError(f"{self.path} cannot be read as a file of API keys: {error}") from error
        return self._keys

    def find(self, key: str) -> ApiKey | None:
        """Return the key that a client sent, unless it is unknown or revoked."""
        digest = _digest(key)
        found = None
        for known in self.entries():
            # All are compared, in constant time: how long it takes tells nothing.
            if hmac.compare_digest(known.sha256, digest) and known.revoked_at is None:
                found = known
        return found

    def add(self, name: str) -> str:
        """Make a key and return it; it cannot be read again.

        Raises:
            ApiKeyError: The name is taken, also by a revoked key, or is none.
        """
        with self._locked():
            if any(known.name == name for known in self.entries()):
                raise ApiKeyError(f"there is a key named {name} already: revoke it and choose another name")
            key = PREFIX + secrets.token_urlsafe(32)
            try:
                added = ApiKey(name=name, sha256=_digest(key), created_at=datetime.now(UTC))
            except ValidationError as error:
                raise ApiKeyError(
                    f"{name!r} is no name of a key: use up to 64 letters, digits, dots, dashes, underscores and @"
                ) from error
            self._write([*self.entries(), added])
        return key

    def revoke(self, name: str) -> None:
        """Let a key open nothing any more.

        Raises:
            ApiKeyError: There is no such key, or it is revoked already.
        """
        with self._locked():
            keys = self.entries()
            if not any(known.name == name and known.revoked_at is None for known in keys):
                raise ApiKeyError(f"there is no key named {name} that could be revoked: `llmtwin keys list` shows them")
            now = datetime.now(UTC)
            self._write(
                [known.model_copy(update={"revoked_at": now}) if known.name == name else known for known in keys]
            )

    def _write(self, keys: list[ApiKey]) -> None:
        write_json(self.path, _KEYS.dump_python(keys, mode="json"), indent=True)

    def _locked(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_suffix(".lock"))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
