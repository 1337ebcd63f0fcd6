"""Retrieval is measured on what a real feature store holds; other authors' text is taken from it too."""

from __future__ import annotations

import pytest
from tests.articles import fill
from tests.documents import article
from tests.styles import ANA, BEN, save_dataset, write_as

from llmtwin.documents import User
from llmtwin.evaluation.findings import Findings
from llmtwin.evaluation.material import Prompt, other_authors
from llmtwin.evaluation.searching import measure_retrieval
from llmtwin.settings import Settings

pytestmark = pytest.mark.stack


def ask(question: str, document: object) -> Prompt:
    return Prompt(({"role": "user", "content": question},), "text", str(document), None, None)


def test_the_documents_of_prompts_are_looked_for(empty_stores: Settings) -> None:
    zebras = article(1, "Zebras graze beside the river, far away from lions.")
    engines = article(2, "Combustion engines burn petrol inside their cylinders.")
    fill(empty_stores, [zebras, engines], embed=True)
    findings = Findings(seed=0)
    # The third one is asked for a document that does not hold the answer.
    prompts = [
        ask("Where do zebras graze?", zebras.id),
        ask("What do engines burn?", engines.id),
        ask("Which animals fear lions?", engines.id),
    ]
    measure_retrieval(findings, empty_stores, prompts)
    assert findings.estimates["retrieval/recall@1"].value == pytest.approx(2 / 3)
    assert findings.estimates["retrieval/recall@5"].value == 1.0
    assert findings.estimates["retrieval/rr@10"].value == pytest.approx((1 + 1 + 0.5) / 3)


def test_an_empty_feature_store_is_not_measured_and_says_why(empty_stores: Settings) -> None:
    findings = Findings(seed=0)
    measure_retrieval(findings, empty_stores, [ask("Where?", "nowhere")])
    assert findings.estimates == {}
    assert findings.not_measured["retrieval/"]


def test_without_datasets_of_others_their_documents_are_the_yardstick(empty_stores: Settings) -> None:
    ben = User.named(BEN)
    own = {"author_id": ben.id, "author_full_name": BEN}
    fill(empty_stores, [article(number, write_as(BEN, 300, number), **own) for number in range(6)])
    dataset = save_dataset(empty_stores, ANA)
    # Another spelling is the same author.
    ana = {"author_id": User.named(ANA).id, "author_full_name": "ANA NÚÑEZ"}
    ben_again = own | {"author_full_name": "BEN OKAFOR"}
    fill(empty_stores, [article(number, write_as(ANA, 300, number), **ana) for number in (6, 7)])
    fill(empty_stores, [article(8, write_as(BEN, 300, 8), **ben_again)])
    (found,) = other_authors(empty_stores, dataset)
    assert (found.name, found.source) == (BEN, "feature store")
    assert len({one.document for one in found.training}) == 6
    assert len({one.document for one in found.held_out}) == 1
    assert not {one.document for one in found.training} & {one.document for one in found.held_out}
