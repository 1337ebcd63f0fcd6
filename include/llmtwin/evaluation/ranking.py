"""How well a ranking finds what is relevant: the field's own measures, computed by ir_measures."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def ranking_means(
    relevant: Sequence[Collection[str]], ranked: Sequence[Sequence[str]], measures: Sequence[str]
) -> dict[str, float]:
    """Return the mean of each measure over all queries, 0 to 1.

    Args:
        relevant: Of each query, the ids that answer it.
        ranked: Of each query, the ids found, best first, each once.
        measures: In ir_measures' words: ``R@5`` (recall), ``RR@10`` (reciprocal rank), ``nDCG@10``, …
    """
    import ir_measures

    wanted = [ir_measures.parse_measure(name) for name in measures]
    judged = [ir_measures.Qrel(str(query), one, 1) for query, ids in enumerate(relevant) for one in ids]
    found = [
        ir_measures.ScoredDoc(str(query), one, -rank)
        for query, ids in enumerate(ranked)
        for rank, one in enumerate(ids)
    ]
    means = ir_measures.calc_aggregate(wanted, judged, found)
    return {name: float(means[measure]) for name, measure in zip(measures, wanted, strict=True)}
