"""Point ids: unsigned 64-bit integers or UUIDs."""

from __future__ import annotations

from uuid import UUID

from llmtwin.local.qdrant.errors import WrongInputError

PointId = int | str


def point_id(asked: object) -> PointId:
    """Return an id as the engine takes it: the integer, or the UUID's canonical text.

    Raises:
        WrongInputError: It is neither.
    """
    if isinstance(asked, int) and not isinstance(asked, bool) and 0 <= asked < 2**64:
        return asked
    if isinstance(asked, str | UUID):
        try:
            return str(UUID(str(asked)))
        except ValueError:
            pass
    raise WrongInputError(
        f"value {asked} is not a valid point ID, valid values are either an unsigned integer or a UUID"
    )


def path_point_id(text: str) -> PointId:
    """Return the id that a URL's path names."""
    return point_id(int(text) if text.isascii() and text.isdigit() else text)


def json_point_id(found: object) -> PointId:
    """Return an id of the engine as JSON carries it."""
    return found if isinstance(found, int) else str(found)
