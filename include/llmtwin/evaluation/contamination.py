"""Which test documents a model was trained on: what it remembers of them is not what it can do.

A dataset is split by time whenever it is built, so a document that is held out in a later one, or in another author's,
may be among those that an older twin learned from.
"""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import replace

from llmtwin.datasets import Dataset, open_dataset
from llmtwin.errors import DatasetError, EvaluationError
from llmtwin.evaluation.intervals import FEW_DOCUMENTS
from llmtwin.evaluation.lineup import CANDIDATE, CONTROL, PRODUCTION, Lineup
from llmtwin.evaluation.material import held_out_documents
from llmtwin.registry import Version
from llmtwin.settings import Settings


def uncontaminated(lineup: Lineup, dataset: Dataset, settings: Settings) -> Lineup:
    """Return the lineup with what each model was trained on, without those that know too much of the test documents.

    What one model knows is left out for all of them. A model that would leave too few documents is not compared: the
    candidate is not measured worse for what another one was trained on.

    Args:
        lineup: Who would be compared.
        dataset: What is measured on.
        settings: Where the datasets are that they were trained on.

    Raises:
        EvaluationError: The candidate was trained on every test document.
        DatasetError: The dataset has no test split, or it is damaged.
    """
    trained_on: dict[str, frozenset[str]] = {}
    notes: dict[str, None] = {}  # one version may have two roles
    for role, version in lineup.versions.items():
        if version is not None:
            try:
                trained_on[role] = _training_documents(version, settings)
            except DatasetError as error:
                notes[f"Whether {version.served_name} was trained on test documents cannot be known: {error}."] = None
    everything = held_out_documents(dataset)
    unseen = everything - trained_on.get(CANDIDATE, frozenset())
    if everything and not unseen:
        raise EvaluationError(
            f"version {lineup.candidate.version} was trained on every test document of {dataset.reference}: name "
            "another dataset with --dataset"
        )
    if unseen != everything:
        notes[_left_out(lineup.candidate, everything - unseen, everything)] = None
    left, missing = unseen, dict(lineup.missing)
    compared: dict[str, Version | None] = {PRODUCTION: lineup.production, CONTROL: lineup.control}
    for role, version in compared.items():
        known = unseen & trained_on.get(role, frozenset())
        if version is None or not known:
            continue
        if len(left - known) < _enough(unseen):
            compared[role] = None
            missing[role] = (
                f"version {version.version} was trained on {len(known)} of the {len(unseen)} test documents, and the "
                "others are too few to compare on"
            )
            del trained_on[role]
        else:
            left -= known
            notes[_left_out(version, known, everything)] = None
    return replace(
        lineup,
        production=compared[PRODUCTION],
        control=compared[CONTROL],
        missing=missing,
        trained_on=trained_on,
        notes=tuple(notes),
    )


def _training_documents(version: Version, settings: Settings) -> frozenset[str]:
    """Return the ids of the documents that a version was trained on, or chosen by.

    Raises:
        DatasetError: Nobody knows; says why, as the end of a sentence.
    """
    if version.lineage is None or version.lineage.dataset is None:
        raise DatasetError("nobody noted what it was trained on")
    try:
        documents = open_dataset(settings, version.lineage.dataset).manifest["documents"]
    except DatasetError as error:
        raise DatasetError(f"{version.lineage.dataset} is not here") from error
    return frozenset(str(one["id"]) for split in ("train", "validation") for one in documents[split])


def _enough(documents: Set[str]) -> int:
    """Return how many of these must remain: ten, of fewer than twenty the half; two at least, for an interval."""
    return min(FEW_DOCUMENTS, max(2, math.ceil(len(documents) / 2)))


def _left_out(version: Version, known: Set[str], everything: Set[str]) -> str:
    are, them = ("is", "it") if len(known) == 1 else ("are", "them")
    of = f"{len(known)} of {len(everything)} test documents"
    return f"{of} {are} left out: {version.served_name} was trained on {them}."
