"""Near-duplicates: the same text published twice, or cut at other places."""

from __future__ import annotations

from collections.abc import Sequence

from llmtwin.features.sparse import terms
from llmtwin.retrieval.passage import Passage

# Words in a shingle, and the share of the smaller text's shingles in the other from which both count as the same:
# containment, Broder, On the Resemblance and Containment of Documents, 1997. Containment and not resemblance, for a
# text that was cut at other places is in part in the one and in part in the other chunk.
SHINGLE = 3
SAME = 0.7


def without_duplicates(passages: Sequence[Passage], limit: int) -> list[Passage]:
    """Return the first `limit` passages, best first, of those that do not nearly repeat a better one."""
    kept: list[tuple[Passage, frozenset[tuple[str, ...]]]] = []
    for passage in passages:
        if len(kept) == limit:
            break
        own = shingles(passage.content)
        if not any(contained(own, other) >= SAME for _, other in kept):
            kept.append((passage, own))
    return [passage for passage, _ in kept]


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Return the runs of `SHINGLE` neighbouring terms; of a shorter text, all of it."""
    words = list(terms(text))
    return frozenset(tuple(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1)))


def contained(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    """Return the share of the smaller set that is in the larger, from 0 to 1."""
    return len(one & other) / min(len(one), len(other))
