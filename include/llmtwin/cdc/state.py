"""Where the stream resumes, kept in MongoDB beside the data it speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bson import Timestamp
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

COLLECTION = "cdc_state"
_ID = "features"
_SNAPSHOT_BEGAN = "snapshot_began"


@dataclass(frozen=True)
class CdcState:
    """A place in the change stream: a resume token, or the time at which a snapshot began."""

    token: dict[str, Any] | None = None
    start_time: Timestamp | None = None


def load(database: Database[dict[str, Any]]) -> CdcState | None:
    """Return the stored place; None before the first snapshot is complete."""
    row = database[COLLECTION].find_one({"_id": _ID})
    return None if row is None or _SNAPSHOT_BEGAN in row else CdcState(row.get("token"), row.get("start_time"))


def begin_first_snapshot(database: Database[dict[str, Any]], now: Timestamp) -> Timestamp:
    """Return when the first snapshot was first tried: ``now``, unless an earlier try was cut off.

    The stream has to start there. What an earlier try published and was then deleted is in no later snapshot.
    """
    begin = {"$setOnInsert": {_SNAPSHOT_BEGAN: now}}
    earlier = _majority(database).find_one_and_update({"_id": _ID}, begin, upsert=True)
    return now if earlier is None else earlier[_SNAPSHOT_BEGAN]


def save(database: Database[dict[str, Any]], state: CdcState) -> None:
    """Store the place, acknowledged by a majority: a token must survive a failover like the data it stands for."""
    row = {"_id": _ID, "token": state.token, "start_time": state.start_time}
    _majority(database).replace_one({"_id": _ID}, row, upsert=True)


def _majority(database: Database[dict[str, Any]]) -> Collection[dict[str, Any]]:
    return database[COLLECTION].with_options(write_concern=WriteConcern("majority"))
