"""The data folder: its lock, the collections and their aliases.

::

    lock           held by the one process that may open the folder
    aliases.json   alias -> collection
    collections/   one folder per collection, see `collection`
"""

from __future__ import annotations

import fcntl
import re
from pathlib import Path
from uuid import uuid4

import orjson
from qdrant_client.http import models

from llmtwin.errors import LocalStackError
from llmtwin.files import write_json
from llmtwin.local.qdrant.collection import Collection
from llmtwin.local.qdrant.errors import NotFoundError, RequestError

# Qdrant's own rule.
_FORBIDDEN_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00\x1f]')


class Storage:
    """All collections of one data folder. Not thread-safe: one thread does everything.

    Args:
        folder: Created where it is missing.

    Raises:
        LocalStackError: Another process has the folder open.
    """

    def __init__(self, folder: Path) -> None:
        self._collections_folder = folder / "collections"
        self._aliases_file = folder / "aliases.json"
        self._collections_folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise LocalStackError(
                f"another process has the Qdrant data folder {folder} open: stop it, or choose another --data-dir"
            ) from error
        opened = (Collection.open(one) for one in sorted(self._collections_folder.iterdir()) if one.is_dir())
        self.collections = {one.name: one for one in opened if one}
        stored = orjson.loads(self._aliases_file.read_bytes()) if self._aliases_file.exists() else {}
        self.aliases: dict[str, str] = {
            alias: name for alias, name in stored.items() if name in self.collections and alias not in self.collections
        }

    def find(self, name: str) -> Collection:
        """Return the collection of a name or alias.

        Raises:
            NotFoundError: There is none.
        """
        collection = self.collections.get(self.aliases.get(name, name))
        if collection is None:
            raise NotFoundError(f"Collection `{name}` doesn't exist!")
        return collection

    def create(self, name: str, create: models.CreateCollection) -> None:
        """Create a collection.

        Raises:
            RequestError: The name is taken or not allowed, or the engine does not take the settings.
        """
        if name in self.collections or name in self.aliases:
            raise RequestError(409, f"Wrong input: Collection `{name}` already exists!")
        if not 1 <= len(name) <= 255 or _FORBIDDEN_IN_NAMES.search(name):
            raise RequestError(422, f"Validation error: {name!r} is no collection name")
        self.collections[name] = Collection.make(self._collections_folder / uuid4().hex, name, create)

    def delete(self, name: str) -> bool:
        """Delete a collection and its aliases; an alias is not a collection here. Return whether there was one."""
        collection = self.collections.pop(name, None)
        if collection is None:
            return False
        self._set_aliases({alias: target for alias, target in self.aliases.items() if target != name})
        collection.delete()
        return True

    def change_aliases(self, actions: list[models.AliasOperations]) -> None:
        """Carry out all actions, or none.

        Raises:
            RequestError: A collection or alias is missing, or an alias would hide a collection.
        """
        changed = dict(self.aliases)
        for action in actions:
            match action:
                case models.CreateAliasOperation(create_alias=asked):
                    if asked.collection_name not in self.collections:
                        raise NotFoundError(f"Collection `{asked.collection_name}` doesn't exist!")
                    self._require_free(asked.alias_name)
                    changed[asked.alias_name] = asked.collection_name
                case models.DeleteAliasOperation(delete_alias=asked):
                    changed.pop(asked.alias_name, None)
                case models.RenameAliasOperation(rename_alias=asked):
                    if asked.old_alias_name not in changed:
                        raise NotFoundError(f"Alias {asked.old_alias_name} does not exists!")
                    self._require_free(asked.new_alias_name)
                    changed[asked.new_alias_name] = changed.pop(asked.old_alias_name)
        self._set_aliases(changed)

    def flush(self) -> None:
        """Bring the writes of all collections to disk."""
        for collection in self.collections.values():
            collection.flush()

    def close(self) -> None:
        """Flush and close everything, and let the next process in."""
        for collection in self.collections.values():
            collection.close()
        self._lock.close()

    def _require_free(self, alias: str) -> None:
        if alias in self.collections:
            raise RequestError(409, f"Wrong input: Collection `{alias}` already exists!")

    def _set_aliases(self, aliases: dict[str, str]) -> None:
        if aliases != self.aliases:
            write_json(self._aliases_file, aliases)
            self.aliases = aliases
