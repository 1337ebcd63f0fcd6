"""A CSV file of an export, row by row: a damaged row costs itself, and says at which line it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator

from llmtwin.errors import SourceError, UnreadableError
from llmtwin.sources.exports.archive import Archive


def rows(
    archive: Archive, name: str, columns: Collection[str], failures: list[SourceError]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line that each row ends at, counted from 1, and its values by column.

    Args:
        archive: Where it is.
        name: The member.
        columns: What must be there; others may be too.
        failures: Takes one for each row that cannot be read.

    Raises:
        UnreadableError: The member cannot be read, or lacks one of the columns; names those that it has.
        ExportLimitError: As `Archive.read` does.
    """
    reader = csv.reader(io.StringIO(archive.text(name), newline=""), strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
    except csv.Error as error:
        raise UnreadableError(archive.link_of(name), f"its first line is no CSV: {error}") from error
    if missing := [column for column in columns if column not in header]:
        seen = ", ".join(map(repr, header)) or "none"
        raise UnreadableError(
            archive.link_of(name),
            f"lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; it has {seen}. "
            "An export in another language has other names: set the account's language to English and export again",
        )
    while True:
        started = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            failures.append(_damaged(archive, name, started, str(error)))
            continue
        if not any(row):
            continue
        if len(row) != len(header):
            failures.append(_damaged(archive, name, started, f"{len(row)} of {len(header)} columns"))
            continue
        yield reader.line_num, dict(zip(header, row, strict=True))


def _damaged(archive: Archive, name: str, line: int, why: str) -> UnreadableError:
    return UnreadableError(archive.link_of(name), f"the row at line {line} is cut off or damaged: {why}")
