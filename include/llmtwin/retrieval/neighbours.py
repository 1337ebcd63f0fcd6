"""Parent expansion: a passage with what stands before and after it in its document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING
from uuid import UUID

from llmtwin.documents import Kind, chunk_id
from llmtwin.retrieval.passage import Passage
from llmtwin.retrieval.retriever import Retriever

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

# Fewer equal characters at the end of one chunk and the beginning of the next are chance, not overlap.
_SHORTEST_OVERLAP = 12


async def with_neighbours(
    client: AsyncQdrantClient, retrievers: Mapping[Kind, Retriever], passages: Sequence[Passage]
) -> list[Passage]:
    """Return the passages, best first, each with its neighbours; those that touch become one.

    A neighbour of another version is left out: its document is being replaced at this moment.
    """
    wanted: dict[Kind, set[UUID]] = defaultdict(set)
    for passage in passages:
        for position in _around(passage):
            wanted[passage.kind].add(chunk_id(passage.document_id, position))
    found = {passage.chunk_id: passage for passage in passages}
    for kind, ids in wanted.items():
        for chunk in await retrievers[kind].chunks(client, ids - found.keys()):
            found[chunk.chunk_id] = chunk
    return join_neighbours(passages, found)


def join_neighbours(passages: Sequence[Passage], found: Mapping[UUID, Passage]) -> list[Passage]:
    """Return each passage made of its chunk and of those around it; a chunk goes to the best passage it touches.

    Args:
        passages: Best first.
        found: All chunks at hand, by id.
    """
    runs: list[tuple[Passage, dict[int, Passage]]] = []
    for passage in passages:
        own = {passage.position: passage}
        for position in _around(passage):
            chunk = found.get(chunk_id(passage.document_id, position))
            if chunk is not None and chunk.version == passage.version:
                own[position] = chunk
        touching = next(
            (run for best, run in runs if best.document_id == passage.document_id and _touch(run, own)), None
        )
        if touching is None:
            runs.append((passage, own))
        else:
            touching.update(own)
    return [_joined(best, [run[position] for position in sorted(run)]) for best, run in _united(runs)]


def join(before: Passage, after: Passage) -> Passage:
    """Return two neighbouring chunks as one passage, what they share only once."""
    if before.end_line is not None and after.start_line is not None and before.end_line < after.start_line:
        content = before.content + "\n" * (after.start_line - before.end_line) + after.content
    elif shared := _overlap(before.content, after.content):
        content = before.content + after.content[shared:]
    else:
        content = f"{before.content}\n\n{after.content}"
    return replace(before, content=content, end_line=after.end_line, chunks=(*before.chunks, *after.chunks))


def _joined(best: Passage, chunks: Sequence[Passage]) -> Passage:
    whole = reduce(join, chunks)
    return replace(
        best, content=whole.content, start_line=whole.start_line, end_line=whole.end_line, chunks=whole.chunks
    )


def _united(runs: list[tuple[Passage, dict[int, Passage]]]) -> list[tuple[Passage, dict[int, Passage]]]:
    """Join runs that a later passage has made touch."""
    united: list[tuple[Passage, dict[int, Passage]]] = []
    for best, run in runs:
        other = next((one for first, one in united if first.document_id == best.document_id and _touch(one, run)), None)
        if other is None:
            united.append((best, run))
        else:
            other.update(run)
    return united if len(united) == len(runs) else _united(united)


def _around(passage: Passage) -> list[int]:
    return [position for position in (passage.position - 1, passage.position + 1) if position >= 0]


def _touch(one: Mapping[int, Passage], other: Mapping[int, Passage]) -> bool:
    return min(one) <= max(other) + 1 and min(other) <= max(one) + 1


def _overlap(before: str, after: str) -> int:
    """Return how many characters of `after` are those that `before` ends with."""
    longest = min(len(before), len(after))
    return next((size for size in range(longest, _SHORTEST_OVERLAP - 1, -1) if before.endswith(after[:size])), 0)
