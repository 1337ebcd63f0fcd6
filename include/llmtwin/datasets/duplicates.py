"""Near-duplicates: texts that say nearly the same in nearly the same words.

MinHash estimates the Jaccard similarity of sets of shingles, and banding finds candidates without comparing all pairs:
Broder, On the Resemblance and Containment of Documents, 1997; Leskovec, Rajaraman and Ullman, Mining of Massive
Datasets, chapter 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from llmtwin.features.sparse import terms

if TYPE_CHECKING:
    from datasketch import MinHash

SHINGLE = 5
PERMUTATIONS = 128
_SEED = 1


def similar_pairs(texts: Sequence[str], threshold: float) -> Iterator[tuple[int, int]]:
    """Yield (earlier, later) of all texts whose estimated Jaccard similarity is at least the threshold, in order.

    Args:
        texts: Of any length; two texts of fewer than `SHINGLE` terms are alike when they have the same ones.
        threshold: From 0 to 1. The estimate's standard error is at most 0.05.
    """
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    sketches: list[MinHash] = []
    for later, text in enumerate(texts):
        sketch = _sketch(text)
        # The index finds candidates; the sketches decide.
        for earlier in sorted(index.query(sketch)):
            if sketch.jaccard(sketches[earlier]) >= threshold:
                yield earlier, later
        index.insert(later, sketch)
        sketches.append(sketch)


def _sketch(text: str) -> MinHash:
    from datasketch import MinHash

    words = list(terms(text))
    shingles = {" ".join(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1))}
    sketch = MinHash(num_perm=PERMUTATIONS, seed=_SEED)
    sketch.update_batch([shingle.encode() for shingle in sorted(shingles)])
    return sketch
