"""Twins of two authors of real articles, trained on the CPU and measured: ``python tests/benchmarks/bench_twin.py``.

Each author's newest articles are held out; each twin is also measured on the other author's. Wants
``../shared/data/articles.json`` and, the first time, vLLM (2.5 GB). ``--keep FOLDER`` leaves datasets, runs and reports
there, and goes on with what is there already.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median

from installation import end_as_by_ctrl_c
from rich.console import Console
from rich.table import Table

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME))

from tests.articles import MAXIME, PAUL, fill, real_articles  # noqa: E402

from llmtwin.datasets import build  # noqa: E402
from llmtwin.evaluation import Evaluation, Options, evaluate  # noqa: E402
from llmtwin.local.ports import free_port  # noqa: E402
from llmtwin.local.servers import QdrantServer  # noqa: E402
from llmtwin.local.vllm import VllmServer  # noqa: E402
from llmtwin.registry import Version  # noqa: E402
from llmtwin.settings import Settings  # noqa: E402
from llmtwin.training import Run, read_recipe, register, train  # noqa: E402
from llmtwin.training.journal import curve  # noqa: E402

AUTHORS = (MAXIME, PAUL)
TARGET = 0.65
# Half of the answers that an evaluation asks for by default, which are most of its time on a CPU.
OPTIONS = Options(answers=12, grounded_answers=6)


def main() -> None:
    """Build, train and measure; print the tables. End with 1 where a twin misses its target."""
    end_as_by_ctrl_c()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="smoke")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    with folder(options.keep) as data:
        ports = {"vllm_port": free_port(), "qdrant_port": free_port()}
        settings = Settings(home=HOME, data_dir=data, models_dir=HOME / ".local" / "models", vllm_device="cpu", **ports)
        runs = {author: trained(author, options.recipe, settings) for author in AUTHORS}
        versions = {author: register(run, settings) for author, run in runs.items()}
        found = evaluations(versions, settings)
    console = Console()
    console.print(training_table(runs))
    console.print(evaluation_table(found))
    if missed := [author for author, one in found.items() if not reaches(one)]:
        sys.exit(f"missed by the twin of {' and '.join(missed)}")


def trained(author: str, recipe: str, settings: Settings) -> Run:
    """Return a finished run on the author's articles, which are all that the feature store holds for this."""
    server = QdrantServer(settings.data / "qdrant", settings.qdrant_port)
    try:
        server.start()
        server.wait_ready(60)
        fill(settings, real_articles())
        dataset = build(settings, author)
    finally:
        server.stop()
    return train(read_recipe(recipe), settings, dataset=dataset.reference, run_id=f"{recipe}-{dataset.name}")


def evaluations(versions: dict[str, Version], settings: Settings) -> dict[str, Evaluation]:
    """Return what was measured of each twin, the other one as its control."""
    server = VllmServer(settings.data / "vllm-server", settings)
    try:
        server.start()
        server.wait_ready(300)
        others = {author: versions[other].version for author, other in zip(AUTHORS, reversed(AUTHORS), strict=True)}
        return {
            author: evaluate(settings, version.version, control=others[author], options=OPTIONS)
            for author, version in versions.items()
        }
    finally:
        server.stop()


def reaches(evaluation: Evaluation) -> bool:
    """Tell whether a twin is as good as it should be, and better than the other author's on this author's text."""
    return evaluation.metrics["perplexity_ratio"] <= TARGET and evaluation.metrics["control_ratio"] < 1


def training_table(runs: dict[str, Run]) -> Table:
    """Return what training took, and what it came to."""
    table = Table("author", "examples", "steps", "minutes", "s a step", "loss", "validation loss", title="training")
    for author, run in runs.items():
        steps = [line for line in run.journal.lines() if "loss" in line]
        seconds = [line["seconds"] for line in steps]
        took = [f"{seconds[-1] / 60:.1f}", f"{median(later - sooner for sooner, later in pairwise(seconds)):.1f}"]
        losses = [f"{steps[0]['loss']:.2f} → {steps[-1]['loss']:.2f}"]
        losses += [" → ".join(f"{value:.2f}" for *_, value in curve(run.journal.lines(), "eval_loss"))]
        examples = str(run.facts.train_examples) if run.facts else ""
        table.add_row(author, examples, str(len(steps)), *took, *losses)
    return table


def evaluation_table(found: dict[str, Evaluation]) -> Table:
    """Return the figures that matter, each author's in a column."""
    table = Table("", *found, title="on held-out articles, with 95 % intervals")
    names = dict.fromkeys(name for one in found.values() for name in one.metrics)
    for name in names:
        table.add_row(name, *(shown(one, name) for one in found.values()))
    return table


def shown(evaluation: Evaluation, name: str) -> str:
    """Return a figure with its interval."""
    if name not in evaluation.metrics:
        return evaluation.not_measured.get(name, "")
    ends = evaluation.intervals.get(name)
    return f"{evaluation.metrics[name]:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


@contextmanager
def folder(kept: Path | None) -> Iterator[Path]:
    """Give a folder for all data; a temporary one where none is to be kept."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="llmtwin-bench-") as name:
            yield Path(name)
    else:
        yield kept.absolute()


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"{(time.monotonic() - began) / 60:.0f} minutes")
