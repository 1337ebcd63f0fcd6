"""Voice: how close what the models write is to how the author writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmtwin.evaluation.authorship import AuthorshipClassifier, Sample
from llmtwin.evaluation.findings import Findings
from llmtwin.evaluation.intervals import jackknife
from llmtwin.evaluation.material import OtherAuthor, Prompt, spread
from llmtwin.evaluation.stylometry import FEWEST_SAMPLES, SAMPLE_WORDS, Counts, Stylometer, all_words
from llmtwin.evaluation.words import first_words, prose, words

# Whose text stands beside the models' as the yardstick.
AUTHOR = "author"
OTHERS = "others"
# A text shorter than this says nothing of style, a row that has one is left out for all.
FEWEST_WORDS = 20
# Below this, even the right author is often not found (Eder, Does size matter?, DSH 30(2), 2015: thousands are better).
ROUGH = 2_000
NOBODY_ELSE = "there is no other author's text to compare with: build a dataset of one, or crawl one"
OWN_VARIATION = (
    "There is no other author's text, or too little, so the reference of Delta is the author's own training documents: "
    "it is Burrows's Delta in units of the author's own variation. It tells how far from the author a text is, not "
    "whether another author would be as far, and cannot be compared with the Delta of evaluations with other authors."
)


def measure_voice(
    findings: Findings,
    prompts: Sequence[Prompt],
    answers: Mapping[str, Sequence[str]],
    training: Sequence[Sample],
    others: Sequence[OtherAuthor],
) -> None:
    """Add ``<who>/delta``, ``burrows_delta`` and ``authorship`` of all models, of the author, and of other authors.

    Without any other author, ``<who>/delta`` of all models and of the author is in units of the author's own variation,
    and the rest is not measured. All texts that answer one prompt are cut to the length of the shortest, for shorter
    texts look farther from anybody.

    Args:
        findings: Where to.
        prompts: Without passages.
        answers: By model, of each prompt.
        training: What the author wrote and models were trained on.
        others: Whose text is the yardstick; may be nobody's.
    """
    documents, texts = matched(prompts, answers)
    if not documents:
        reason = f"no prompt was answered by every model with at least {FEWEST_WORDS} words of prose"
        findings.not_measured |= dict.fromkeys(("delta", "burrows_delta", "authorship"), reason)
        return
    _measure_delta(findings, documents, texts, training, others)
    if others:
        _measure_authorship(findings, documents, texts, training, others)
    else:
        findings.not_measured["authorship"] = NOBODY_ELSE


def matched(prompts: Sequence[Prompt], answers: Mapping[str, Sequence[str]]) -> tuple[list[str], dict[str, list[str]]]:
    """Return documents, and by author or model the prose of each prompt, all of a prompt equally long in words."""
    plain = {AUTHOR: [prose(prompt.text) for prompt in prompts]}
    plain |= {role: [prose(text) for text in found] for role, found in answers.items()}
    documents: list[str] = []
    texts: dict[str, list[str]] = {who: [] for who in plain}
    for number, prompt in enumerate(prompts):
        shortest = min(len(words(found[number])) for found in plain.values())
        if shortest >= FEWEST_WORDS:
            documents.append(prompt.document)
            for who, found in plain.items():
                texts[who].append(first_words(found[number], shortest))
    return documents, texts


def _measure_delta(
    findings: Findings,
    documents: Sequence[str],
    texts: Mapping[str, Sequence[str]],
    training: Sequence[Sample],
    others: Sequence[OtherAuthor],
) -> None:
    read = {other.name: all_words([words(one.text) for one in other.training]) for other in others}
    references = {name: found for name, found in read.items() if len(found) >= FEWEST_SAMPLES * SAMPLE_WORDS}
    too_short = ", ".join(name for name in read if name not in references)
    if too_short:
        findings.notes.append(
            f"Delta leaves out {too_short}: less than {FEWEST_SAMPLES * SAMPLE_WORDS} words of prose."
        )
    if not references:
        reason = f"there is too little text by {too_short} to compare with" if too_short else NOBODY_ELSE
        findings.not_measured |= dict.fromkeys(("burrows_delta", f"{OTHERS}/delta"), reason)
    try:
        meter = Stylometer(all_words([words(one.text) for one in training]), references)
    except ValueError as error:
        alone = "" if references else ", too little to tell the author's own variation, and no other author's text"
        findings.not_measured |= dict.fromkeys(("delta", "burrows_delta"), f"{error}{alone}")
        return
    findings.delta = meter.variant
    counted = {who: _by_document(documents, found) for who, found in texts.items()}
    size = sum(one.total for one in counted[AUTHOR])
    if size < ROUGH:
        findings.notes.append(f"Delta is from {size} words of each model: below {ROUGH} words it is rough.")
    if meter.kind == "frequent":
        findings.notes.append("The text is not English: Delta counts the most frequent words, content words too.")
    if references:
        counted[OTHERS] = _first(_held_out([other for other in others if other.name in references]), size)
    else:
        findings.notes.append(OWN_VARIATION)
    for who, found in counted.items():
        findings.estimates[f"{who}/delta"] = jackknife(lambda part: meter.distance(_sum(part)), found)
        if references:
            findings.estimates[f"{who}/burrows_delta"] = jackknife(lambda part: meter.delta(_sum(part)), found)
    for name, role in (("delta_difference", "base"), ("production_delta_difference", "production")):
        if "candidate" in counted and role in counted:
            pairs = list(zip(counted["candidate"], counted[role], strict=True))
            findings.estimates[name] = jackknife(
                lambda part: (
                    meter.distance(_sum([one for one, _ in part])) - meter.distance(_sum([other for _, other in part]))
                ),
                pairs,
            )


def _measure_authorship(
    findings: Findings,
    documents: Sequence[str],
    texts: Mapping[str, Sequence[str]],
    training: Sequence[Sample],
    others: Sequence[OtherAuthor],
) -> None:
    try:
        classifier = AuthorshipClassifier(
            _long_enough(training), _long_enough([one for other in others for one in other.training]), findings.seed
        )
    except ValueError as error:
        findings.not_measured["authorship"] = str(error)
        return
    longest = max(len(words(text)) for text in texts[AUTHOR])
    unseen = [Sample(first_words(one.text, longest), one.document) for one in _long_enough(_held_out(others))]
    if not unseen:
        findings.not_measured["authorship"] = "other authors' held-out texts are too short"
        return
    for who, found in texts.items():
        findings.add_mean(f"{who}/authorship", documents, classifier.scores(found))
    findings.add_mean(
        f"{OTHERS}/authorship", [one.document for one in unseen], classifier.scores([one.text for one in unseen])
    )
    accuracy = classifier.accuracy(texts[AUTHOR], [one.text for one in unseen])
    findings.add_value("authorship_accuracy", accuracy, len(set(documents)) + len({one.document for one in unseen}))


def _by_document(documents: Sequence[str], texts: Sequence[str]) -> list[Counts]:
    found: dict[str, Counts] = {}
    for document, text in zip(documents, texts, strict=True):
        counts = Counts.of(words(text))
        found[document] = found[document] + counts if document in found else counts
    return [found[document] for document in sorted(found)]


def _held_out(others: Sequence[OtherAuthor]) -> list[Sample]:
    return spread([sample for other in others for sample in other.held_out], lambda one: one.document, 0)


def _first(samples: Sequence[Sample], size: int) -> list[Counts]:
    """Return other authors' words by document, about ``size`` of them."""
    taken: list[Sample] = []
    for sample in samples:
        left = size - sum(len(words(one.text)) for one in taken)
        if left <= 0:
            break
        taken.append(Sample(first_words(sample.text, left), sample.document))
    return _by_document([one.document for one in taken], [one.text for one in taken])


def _sum(counts: Sequence[Counts]) -> Counts:
    total = Counts.of([])
    for one in counts:
        total = total + one
    return total


def _long_enough(samples: Sequence[Sample]) -> list[Sample]:
    return [sample for sample in samples if len(words(sample.text)) >= FEWEST_WORDS]
