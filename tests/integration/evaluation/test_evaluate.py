"""`evaluate` before a scripted vLLM: what it finds is known beforehand."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest
from filelock import FileLock
from tests.integration.evaluation.conftest import LOGPROBS, TEXTS, Lab
from tests.scripted_server import JsonHandler, serving
from tests.styles import ANA, BEN, save_dataset

from llmtwin.datasets import EVERYBODY, Dataset, open_dataset
from llmtwin.datasets.dataset import MANIFEST
from llmtwin.documents import user_id
from llmtwin.errors import DatasetError, EvaluationError, RegistryError, VllmError
from llmtwin.evaluation import folder_of, read_evaluation
from llmtwin.evaluation.result import ANSWERS, REPORT, RESULT
from llmtwin.files import write_json
from llmtwin.local.ports import free_port
from llmtwin.promotion import Outcome, gate, read_thresholds
from llmtwin.registry import Status
from llmtwin.settings import settings_environment
from llmtwin.tracking import read_experiment

CODE = "from llmtwin.settings import get_settings; from llmtwin.evaluation import evaluate, Options; \
evaluate(get_settings(), '1', options=Options(texts=8, answers=6, grounded_answers=3, judged=3))"


def test_perplexities_are_those_of_the_log_probabilities_and_compared_in_pairs(lab: Lab) -> None:
    found = lab.evaluate()
    for role, name in (("candidate", "twin@1"), ("base", "base"), ("control", "twin@2")):
        assert found.metrics[f"{role}/perplexity"] == pytest.approx(math.exp(-LOGPROBS[name]))
    assert found.metrics["perplexity_ratio"] == pytest.approx(math.exp(-1.0))
    assert found.intervals["perplexity_ratio"] == pytest.approx((math.exp(-1.0),) * 2)  # the same in every document
    assert found.metrics["perplexity_bits"] == pytest.approx(-1 / math.log(2))
    assert found.metrics["control_ratio"] == pytest.approx(math.exp(-0.5))
    assert found.metrics["control_ratio_reverse"] == pytest.approx(math.exp(0.5))
    assert found.production is None
    assert found.not_measured["production/"] == "nothing is in production yet"
    assert len(found.documents) == 4
    # Only the author's words are scored: 8 texts of 150 words and a little, of each author, by three models.
    assert 3 * 16 * 150 <= found.provenance.scored_tokens <= 3 * 16 * 160


def test_the_voice_of_each_model_is_told_by_its_words(lab: Lab) -> None:
    metrics = lab.evaluate().metrics
    assert metrics["author/delta"] < metrics["candidate/delta"] < metrics["base/delta"]
    assert metrics["candidate/delta"] < metrics["control/delta"]
    assert metrics["delta_difference"] == pytest.approx(metrics["candidate/delta"] - metrics["base/delta"])
    assert metrics["authorship_accuracy"] == 1.0
    assert lab.evaluate().provenance.delta == "cosine"
    assert metrics["candidate/authorship"] > 0.9 > 0.1 > metrics["control/authorship"]


def test_what_stands_in_the_passages_and_in_training_is_counted(lab: Lab) -> None:
    copied = " ".join(save_dataset(lab.settings, ANA).rows("train")[0]["completion"][0]["content"].split()[:40])
    lab.script(texts={"twin@1": copied, "base": "Zebras yodel quietly " * 20, "twin@2": copied})
    found = lab.evaluate()
    assert found.metrics["candidate/longest_copy"] == 40
    assert found.metrics["base/longest_copy"] == 0
    assert found.metrics["base/grounding"] == 0.0
    assert found.metrics["candidate/grounding"] > 0.5
    assert found.metrics["base/repetition"] > 0.8
    sample = found.samples[0]
    assert sample.answers["candidate"].copied_words == 40
    assert sample.prompt.startswith("What do you say about part")


def test_the_result_is_read_back_and_recorded_in_an_experiment(lab: Lab) -> None:
    found = lab.evaluate()
    assert read_evaluation(lab.settings, "1") == found
    page = (folder_of(lab.settings, "1") / REPORT).read_text()
    assert "Ana Núñez" in page
    assert "http-equiv" not in page
    assert found.experiment is not None
    recorded = read_experiment(lab.settings, found.experiment)
    assert recorded.last("perplexity_ratio") == pytest.approx(math.exp(-1.0))
    assert recorded.last("perplexity_ratio/low") == pytest.approx(math.exp(-1.0))
    assert json.loads(recorded.read(RESULT))["version"] == "1"
    assert recorded.read(REPORT).startswith(b"<!doctype html>")


def test_a_version_in_production_is_measured_beside(lab: Lab) -> None:
    lab.registry.accept("2")
    assert lab.registry.promote("2").status is Status.PRODUCTION
    found = lab.evaluate()
    assert found.production == "2"
    assert found.metrics["production_ratio"] == pytest.approx(math.exp(-0.5))
    # It is the control too, and is asked once.
    bodies = Counter(json.dumps(entry["body"], sort_keys=True) for entry in lab.asked())
    assert max(bodies.values()) == 1


def test_production_on_another_base_model_is_not_measured_but_still_what_is_replaced(lab: Lab) -> None:
    old = lab.register(ANA, None, base_model_name_or_path="org/another-model")
    lab.registry.accept(old)
    lab.registry.promote(old)
    found = lab.evaluate()
    assert found.production == old
    assert "production_ratio" not in found.metrics
    assert "trained on org/another-model" in found.not_measured["production/"]
    # The gate rules on what was measured, and says why there is nothing about production.
    about_production = [
        finding
        for finding in gate(found, read_thresholds(lab.settings)).findings
        if "the twin in production" in finding.words
    ]
    assert [finding.outcome for finding in about_production] == [Outcome.NOT_APPLICABLE] * 2
    assert all("trained on org/another-model" in finding.words for finding in about_production)


def test_documents_that_production_was_trained_on_are_left_out_for_all(lab: Lab) -> None:
    """A later dataset is split anew: what is held out for the candidate may be what production learned from."""
    production = lab.serve(save_dataset(lab.settings, ANA, train_documents=14, test_documents=2))
    own = open_dataset(lab.settings, lab.dataset_of("1"))
    found = lab.evaluate()
    assert found.production == production
    assert found.metrics["production_ratio"] == pytest.approx(1.0)
    kept = {row["document_id"] for row in own.rows("test")[-2:]}
    assert {one.document for one in found.documents} == kept
    assert {sample.link for sample in found.samples} <= {row["link"] for row in own.rows("test")[-2:]}
    assert "2 of 4 test documents are left out: twin@3 was trained on them." in found.notes


def test_production_that_was_trained_on_most_test_documents_is_left_out_and_the_candidate_is_not(lab: Lab) -> None:
    production = lab.serve(save_dataset(lab.settings, ANA, train_documents=15, test_documents=1))
    found = lab.evaluate()
    assert found.production == production
    assert len(found.documents) == 4
    assert "production_ratio" not in found.metrics
    assert found.not_measured["production/"] == (
        "version 3 was trained on 3 of the 4 test documents, and the others are too few to compare on"
    )
    assert not any("left out" in note for note in found.notes)


def test_a_candidate_is_not_measured_on_another_dataset_s_documents_that_it_was_trained_on(lab: Lab) -> None:
    all_seen = save_dataset(lab.settings, ANA, train_documents=8, test_documents=4)
    with pytest.raises(EvaluationError, match=r"version 1 was trained on every test document of ana-nunez@"):
        lab.evaluate(dataset=all_seen.reference)
    half_seen = save_dataset(lab.settings, ANA, train_documents=10, test_documents=4)
    assert len(lab.evaluate(dataset=half_seen.reference).documents) == 2


def test_a_twin_whose_dataset_is_gone_may_have_been_trained_on_anything_which_is_said(lab: Lab) -> None:
    dataset = save_dataset(lab.settings, ANA, train_documents=14, test_documents=2)
    lab.serve(dataset)
    shutil.rmtree(dataset.folder)
    found = lab.evaluate()
    assert found.metrics["production_ratio"] == pytest.approx(1.0)
    said = f"Whether twin@3 was trained on test documents cannot be known: {dataset.reference} is not here."
    assert said in found.notes
    imported = lab.register(None, None)
    found = lab.evaluate(imported, dataset=lab.dataset_of("1"))
    said = (
        f"Whether twin@{imported} was trained on test documents cannot be known: nobody noted what it was trained on."
    )
    assert said in found.notes


def test_the_other_author_s_documents_that_the_candidate_was_trained_on_are_left_out(lab: Lab) -> None:
    lab.register(BEN, save_dataset(lab.settings, BEN, train_documents=8, test_documents=4).reference)
    everything = save_dataset(lab.settings, BEN, train_documents=15, test_documents=1)
    candidate = lab.register("Cora Lind", everything.reference)
    found = lab.evaluate(candidate, dataset=lab.dataset_of("1"))
    assert found.control == "3"
    assert "control_ratio_reverse" not in found.metrics
    assert "was trained on all its test documents" in found.not_measured["control_ratio_reverse"]


def test_the_version_in_production_is_not_measured_beside_itself(lab: Lab) -> None:
    lab.registry.accept("1")
    lab.registry.promote("1")
    found = lab.evaluate()
    assert found.production == "1"
    assert found.not_measured["production/"] == "the candidate is in production itself"


def test_asking_again_asks_nothing_that_was_answered(lab: Lab) -> None:
    first = lab.evaluate()
    lab.script()
    second = lab.evaluate()
    assert lab.asked() == []
    assert second.metrics == first.metrics
    lab.evaluate(again=True)
    assert lab.asked()


def test_a_killed_evaluation_goes_on_where_it_stood(lab: Lab) -> None:
    lab.script(delay=0.15)
    environment = os.environ | settings_environment(lab.settings)
    process = subprocess.Popen([sys.executable, "-c", CODE], env=environment)
    try:
        lab.vllm.wait_until(lambda seen: sum(entry.get("ended") == "done" for entry in seen) >= 20)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (folder_of(lab.settings, "1") / RESULT).exists()
    kept = len((folder_of(lab.settings, "1") / ANSWERS).read_text().splitlines())
    assert kept
    before = lab.asked()
    lab.script()
    lab.evaluate()
    asked = [json.dumps(entry["body"], sort_keys=True) for entry in [*before, *lab.asked()]]
    # Twice at most what was under way when it was killed.
    assert sum(count - 1 for count in Counter(asked).values()) <= 8


def test_one_test_document_gives_numbers_without_intervals_and_says_so(lab: Lab) -> None:
    dataset = save_dataset(lab.settings, ANA, test_documents=1)
    found = lab.evaluate(dataset=dataset.reference)
    assert found.metrics["perplexity_ratio"] == pytest.approx(math.exp(-1.0))
    assert "perplexity_ratio" not in found.intervals
    assert any("one test document only" in note for note in found.notes)


def test_a_dataset_without_test_documents_is_an_error_before_anything_is_asked(lab: Lab) -> None:
    dataset = save_dataset(lab.settings, ANA, test_documents=0)
    with pytest.raises(EvaluationError, match="holds no test document in the author's own words"):
        lab.evaluate(dataset=dataset.reference)
    assert lab.vllm.seen == []


def test_without_another_author_style_is_measured_by_the_authors_own_variation(lab: Lab) -> None:
    shutil.rmtree(lab.settings.datasets / "ben-okafor")
    found = lab.evaluate()
    metrics = found.metrics
    assert metrics["author/delta"] < 1 < metrics["base/delta"]
    assert metrics["candidate/delta"] < metrics["base/delta"]
    assert metrics["candidate/delta"] < metrics["control/delta"]
    assert metrics["delta_difference"] == pytest.approx(metrics["candidate/delta"] - metrics["base/delta"])
    low, high = found.intervals["delta_difference"]
    assert low <= metrics["delta_difference"] <= high < 0
    assert found.provenance.delta == "burrows"
    assert any("the author's own training documents" in note for note in found.notes)
    page = (folder_of(lab.settings, "1") / REPORT).read_text()
    assert "in units of the author’s own variation" in page
    assert "Cosine Delta" not in page
    assert found.experiment is not None
    assert read_experiment(lab.settings, found.experiment).parameters["delta"] == "burrows"
    # What takes another author stays open.
    assert not {name for name in metrics if name.endswith("/authorship") or name.startswith("others/")}
    for name in ("authorship", "burrows_delta", "others/delta"):
        assert "no other author's text" in found.not_measured[name]
    assert "delta" not in found.not_measured
    assert "dataset of the control's author is not here" in found.not_measured["control_ratio_reverse"]
    assert found.metrics["control_ratio"] == pytest.approx(math.exp(-0.5))


def test_production_is_measured_by_the_authors_own_variation_too(lab: Lab) -> None:
    shutil.rmtree(lab.settings.datasets / "ben-okafor")
    lab.registry.accept("2")
    lab.registry.promote("2")
    metrics = lab.evaluate().metrics
    apart = metrics["candidate/delta"] - metrics["production/delta"]
    assert metrics["production_delta_difference"] == pytest.approx(apart)
    assert apart < 0


def test_another_author_with_too_little_text_is_no_reference(lab: Lab) -> None:
    shutil.rmtree(lab.settings.datasets / "ben-okafor")
    save_dataset(lab.settings, BEN, train_documents=3, test_documents=1)
    found = lab.evaluate()
    assert found.provenance.delta == "burrows"
    assert "too little text by Ben Okafor" in found.not_measured["others/delta"]
    assert found.metrics["authorship_accuracy"] == 1.0  # three documents are enough for that


def test_an_author_alone_with_too_little_text_is_not_measured_and_says_why(lab: Lab) -> None:
    shutil.rmtree(lab.settings.datasets / "ben-okafor")
    found = lab.evaluate(lab.serve(save_dataset(lab.settings, ANA, train_documents=3)))
    assert not {name for name in found.metrics if name.endswith("delta")}
    assert found.not_measured["delta"].startswith("fewer than 2000 words of prose by the author")
    assert found.provenance.delta is None


def test_a_control_is_another_authors_twin_on_the_same_base(lab: Lab) -> None:
    lab.register(BEN, None, base_model_name_or_path="org/another-model")
    lab.register(None, None)
    assert lab.evaluate().control == "2"
    assert lab.evaluate("2").control == "1"
    with pytest.raises(RegistryError, match="no version '9'"):
        lab.evaluate(control="9")


def test_the_same_author_in_another_spelling_is_no_other_author(lab: Lab) -> None:
    lab.register("  ANA  NÚÑEZ", None)
    assert lab.evaluate().control == "2"


def test_everybody_is_compared_with_none_of_its_members(lab: Lab) -> None:
    everybody = save_for_everybody(lab)
    version = lab.register(None, everybody.reference)
    lab.script(texts=TEXTS | {f"twin@{version}": TEXTS["twin@1"]})
    found = lab.evaluate(version)
    assert (found.author, found.control) == ("all authors", None)
    assert "no twin of another author" in found.not_measured["control/"]
    assert found.provenance.references == {}
    assert found.provenance.delta == "burrows"
    assert "no other author's text" in found.not_measured["authorship"]


def save_for_everybody(lab: Lab) -> Dataset:
    """Write a dataset of all authors, as far as it matters here."""
    of_ana = open_dataset(lab.settings, lab.dataset_of("1"))
    folder = lab.settings.datasets / EVERYBODY / of_ana.version
    shutil.copytree(of_ana.folder, folder)
    ids = [str(user_id(author)) for author in (ANA, BEN)]
    write_json(folder / MANIFEST, of_ana.manifest | {"author": None, "author_ids": ids})
    return Dataset(folder)


def test_an_adapter_for_another_base_is_refused(lab: Lab) -> None:
    version = lab.register(ANA, "ana-nunez", base_model_name_or_path="org/another-model")
    with pytest.raises(EvaluationError, match="was trained on org/another-model"):
        lab.evaluate(version)


def test_a_version_without_lineage_wants_a_dataset_named(lab: Lab) -> None:
    version = lab.register(None, None)
    with pytest.raises(EvaluationError, match="name one with --dataset"):
        lab.evaluate(version)
    with pytest.raises(DatasetError, match="there is no dataset 'nobody'"):
        lab.evaluate(version, dataset="nobody")


def test_vllm_down_is_an_error_that_says_how_to_start_it(lab: Lab) -> None:
    down = lab.settings.model_copy(update={"vllm_url": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(VllmError, match="llmtwin up --with-llm"):
        Lab(down, lab.vllm).evaluate()
    assert not (folder_of(lab.settings, "1") / RESULT).exists()


class HomePage(JsonHandler):
    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self.answer(200, b"<!doctype html><title>Welcome</title>")


class AnotherApi(JsonHandler):
    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self.answer(200, ["up"])


class Keyless(JsonHandler):
    """Speaks OpenAI's API, but knows no window and no log-probabilities of prompts."""

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self.answer(200, {"object": "list", "data": [{"id": "base", "object": "model"}]})


@pytest.mark.parametrize("handler", [HomePage, AnotherApi, Keyless])
def test_what_is_no_vllm_is_an_error_that_says_so(lab: Lab, handler: type[JsonHandler]) -> None:
    with serving(handler) as url, pytest.raises(VllmError, match=f"what answers at {url} is no vLLM"):
        Lab(lab.settings.model_copy(update={"vllm_url": url}), lab.vllm).evaluate()


def test_a_vllm_that_gives_no_log_probabilities_is_an_error(lab: Lab) -> None:
    lab.script(logprobs=dict.fromkeys(LOGPROBS, "none"))
    with pytest.raises(VllmError, match="no finite log-probabilities"):
        lab.evaluate()


def test_vllm_that_refuses_is_an_error_and_what_was_answered_is_kept(lab: Lab) -> None:
    lab.script(status=500)
    with pytest.raises(VllmError, match=r"refuses \(HTTP 500\)"):
        lab.evaluate()
    assert not (folder_of(lab.settings, "1") / RESULT).exists()
    lab.script()
    assert lab.evaluate().metrics["perplexity_ratio"] == pytest.approx(math.exp(-1.0))


def test_two_evaluations_of_one_version_at_once_are_not_possible(lab: Lab) -> None:
    folder = folder_of(lab.settings, "1")
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"), pytest.raises(EvaluationError, match="another evaluation of version 1"):
        lab.evaluate()


def test_a_damaged_result_is_an_error(lab: Lab) -> None:
    with pytest.raises(EvaluationError, match="was not evaluated: run"):
        read_evaluation(lab.settings, "1")
    lab.evaluate()
    (folder_of(lab.settings, "1") / RESULT).write_text("{")
    with pytest.raises(EvaluationError, match="is damaged"):
        read_evaluation(lab.settings, "1")
    with pytest.raises(EvaluationError, match="is not the name of a version"):
        read_evaluation(lab.settings, "../2")


def judged(lab: Lab, **changes: object) -> Lab:
    """The same lab with a judge: the scripted server's base model."""
    judge = {"judge_url": f"{lab.vllm.url}/v1", "judge_model": "base"} | changes
    return Lab(lab.settings.model_copy(update=judge), lab.vllm)


def test_a_judge_that_always_prefers_what_comes_first_prefers_nobody(lab: Lab) -> None:
    lab.script(texts={"base": '{"accuracy": "A", "style": "tie"}'})
    found = judged(lab).evaluate()
    assert found.metrics["judge/accuracy_wins"] == 0.5
    assert found.metrics["judge/style_wins"] == 0.5
    assert found.metrics["judge/swayed"] == 1.0
    assert found.provenance.judge is not None
    assert found.provenance.judge.startswith("base at http")


def test_a_judge_that_talks_nonsense_costs_its_numbers_only(lab: Lab) -> None:
    found = judged(lab).evaluate()
    assert found.metrics["judge/nonsense"] == 1.0
    assert found.not_measured["judge/style_wins"]
    assert found.metrics["perplexity_ratio"] == pytest.approx(math.exp(-1.0))


def test_a_judge_that_is_down_costs_its_numbers_only(lab: Lab) -> None:
    found = judged(lab, judge_url=f"http://127.0.0.1:{free_port()}/v1").evaluate()
    assert "does not answer" in found.not_measured["judge/"]
    assert "perplexity_ratio" in found.metrics


def test_a_judge_that_refuses_costs_its_numbers_only(lab: Lab) -> None:
    found = judged(lab, judge_model="no-such-model").evaluate()
    assert "refuses (HTTP 404)" in found.not_measured["judge/"]
