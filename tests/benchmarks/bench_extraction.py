"""How well and how fast the article of a page is extracted: ``python tests/benchmarks extraction``.

Over the pages of tests/fixtures/pages, next to what trafilatura gives by itself as Markdown with links and formatting.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.extraction import GROUPS, STRUCTURE, Case, Score, load_cases, read, score

from llmtwin.sources.encoding import decode

REPEATS = 3


def main() -> None:
    """Measure, and print the table."""
    cases = [case for case in load_cases() if case.error is None]
    ways: dict[str, Callable[[Case], str]] = {"llmtwin": ours, "trafilatura": plain_trafilatura}
    measured = {name: [measure(case, way) for case in cases] for name, way in ways.items()}
    table = Table("group", "pages", "by", "precision", "recall", "F1", *STRUCTURE, "ms/page")
    for group in (*GROUPS, "all"):
        chosen = [number for number, case in enumerate(cases) if group in (case.group, "all")]
        for name in ways:
            table.add_row(*row(group, name, [measured[name][number] for number in chosen]))
        table.add_section()
    Console(width=120).print(table)


def ours(case: Case) -> str:
    """Return a page's article as a crawl or an import finds it."""
    return read(case).markdown


def plain_trafilatura(case: Case) -> str:
    """Return a page's article as trafilatura writes it."""
    import trafilatura

    found = trafilatura.extract(
        decode(case.content, case.charset),
        url=case.url,
        output_format="markdown",
        include_formatting=True,
        include_links=True,
        include_comments=False,
    )
    return found or ""


def measure(case: Case, way: Callable[[Case], str]) -> tuple[Score, float]:
    """Return how good the text is, and the seconds it takes, the fastest of some runs."""
    seconds, markdown = [], ""
    for _ in range(REPEATS):
        start = time.perf_counter()
        markdown = way(case)
        seconds.append(time.perf_counter() - start)
    return score(markdown, case), min(seconds)


def row(group: str, name: str, measured: list[tuple[Score, float]]) -> list[str]:
    """Return means of the words over pages, and the share of all headings, items and so on that is as expected."""
    scores = [found for found, _ in measured]
    if not scores:
        return [group, "0", name]
    words = [fmean(getattr(found, share) for found in scores) for share in ("precision", "recall", "f1")]
    kept = []
    for kind in STRUCTURE:
        expected = sum(found.expected[kind] for found in scores)
        kept.append(f"{sum(found.found[kind] for found in scores) / expected:.2f}" if expected else "–")
    milliseconds = 1000 * median(seconds for _, seconds in measured)
    return [group, str(len(scores)), name, *(f"{share:.3f}" for share in words), *kept, f"{milliseconds:.0f}"]


if __name__ == "__main__":
    main()
