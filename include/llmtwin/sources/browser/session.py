"""The cookies of a login, kept between crawls so that nobody has to log in for each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from llmtwin.settings import Settings


class SavedSession:
    """What a browser must be given to be logged in at a site; as secret as a password.

    Args:
        settings: Its data folder holds the file, which only its owner may read.
        site: The site's host name.
        account: What one logs in with there; None: an account that settings do not name. Two have two sessions.
    """

    def __init__(self, settings: Settings, site: str, account: str | None) -> None:
        # A digest: an e-mail address has no place in a path, which logs and listings show.
        name = hashlib.sha256(account.casefold().encode()).hexdigest()[:16] if account else "by-hand"
        self.path: Path = settings.data / "browser" / site / name / "session.json"

    def load(self) -> dict[str, Any] | None:
        """Return Playwright's storage state, or None when there is none. A damaged file is as good as none."""
        try:
            state = orjson.loads(self.path.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        return state if isinstance(state, dict) else None

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep Playwright's storage state."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.chmod(0o700)
        # In a folder of its own first, so that crawls side by side cannot meet half a file, or each other's.
        with TemporaryDirectory(dir=self.path.parent) as folder:
            new = Path(folder) / self.path.name
            new.write_bytes(orjson.dumps(state))
            new.chmod(0o600)
            new.replace(self.path)
