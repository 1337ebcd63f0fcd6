"""Where the stream resumes, kept in MongoDB beside the data it speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bson import Timestamp
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

COLLECTION = "cdc_state"
_ID = "features"


@dataclass(frozen=True)
class CdcState:
    """A place in the change stream: a resume token, or the time at which a snapshot began."""

    token: dict[str, Any] | None = None
    start_time: Timestamp | None = None


def load(database: Database[dict[str, Any]]) -> CdcState | None:
    """Return the stored place; None before the first snapshot is complete."""
    row = database[COLLECTION].find_one({"_id": _ID})
    return None if row is None else CdcState(row.get("token"), row.get("start_time"))


def save(database: Database[dict[str, Any]], state: CdcState) -> None:
    """Store the place, acknowledged by a majority: a token must survive a failover like the data it stands for."""
    collection = database[COLLECTION].with_options(write_concern=WriteConcern("majority"))
    collection.replace_one(
        {"_id": _ID}, {"_id": _ID, "token": state.token, "start_time": state.start_time}, upsert=True
    )
