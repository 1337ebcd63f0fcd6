"""What a human is shown, and which evaluations are believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.adapters import BASE_MODEL, save_adapter
from tests.evaluations import save_evaluation

from llmtwin.errors import EvaluationError, RegistryError
from llmtwin.promotion import markdown, prepare_decision, rejection
from llmtwin.registry import Lineage, Registry
from llmtwin.settings import Settings

REPORT = "/llmtwin/evaluations/1/report.html"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path / "data")
    lineage = Lineage(author="Ana Núñez", dataset="ana-nunez@0123456789ab", recipe="smoke", run_id="20261121-1")
    Registry(settings.registry).register(save_adapter(tmp_path / "trained"), BASE_MODEL, 16, lineage=lineage)
    return settings


def test_a_human_sees_figures_verdict_lineage_and_the_way_to_the_report(settings: Settings) -> None:
    save_evaluation(settings, "1")
    decision = prepare_decision("1", settings)
    assert decision.verdict.passed
    page = markdown(decision, REPORT)
    assert page.startswith(f"**twin@1** would take over from the base model. [Open the report]({REPORT})")
    assert "| figure \\(95 % interval\\)" not in page
    assert "| perplexity on unseen text, lower is better | 15 (15 to 15) | 25 (25 to 25) |" in page
    assert "| perplexity, candidate ÷ base | 0.6 (0.59 to 0.61) |" in page
    assert "The gate lets it pass:" in page
    assert "- control\\_ratio: there is no twin of another author" in page
    assert "- recipe: smoke" in page


def test_a_human_sees_why_the_gate_rejects(settings: Settings) -> None:
    save_evaluation(settings, "1", perplexity_ratio=1.3)
    decision = prepare_decision("1", settings)
    assert not decision.verdict.passed
    page = markdown(decision, REPORT)
    assert "The gate rejects it:" in page
    assert "perplexity\\_ratio is 1.3" in page


def test_a_human_sees_which_distance_of_style_it_is_and_what_to_keep_in_mind(settings: Settings) -> None:
    save_evaluation(settings, "1")
    assert "| Cosine Delta to the author's style, lower is closer | 0.9" in markdown(
        prepare_decision("1", settings), REPORT
    )
    save_evaluation(settings, "1", delta="burrows", notes=["There is no other author's text."])
    page = markdown(prepare_decision("1", settings), REPORT)
    assert (
        "| Burrows's Delta to the author's style, in units of the author's own variation, lower is closer | 0.9" in page
    )
    assert "Cosine Delta" not in page
    assert "To be kept in mind:\n\n- There is no other author's text." in page


def test_text_of_others_means_itself_on_the_page(settings: Settings, tmp_path: Path) -> None:
    lineage = Lineage(recipe="[click](https://evil.example) | <img src=x> **now**")
    Registry(settings.registry).register(save_adapter(tmp_path / "second"), BASE_MODEL, 16, lineage=lineage)
    save_evaluation(settings, "2")
    page = markdown(prepare_decision("2", settings), REPORT)
    assert "- recipe: \\[click\\](https://evil.example) \\| \\<img src=x\\> \\*\\*now\\*\\*" in page


def test_a_version_that_was_not_evaluated_is_not_judged(settings: Settings) -> None:
    with pytest.raises(EvaluationError, match="version 1 was not evaluated: run `llmtwin evaluate 1`"):
        prepare_decision("1", settings)
    with pytest.raises(RegistryError, match="no version '7'"):
        prepare_decision("7", settings)


@pytest.mark.parametrize("text", ["", "{", '{"layout": 2}'])
def test_a_damaged_evaluation_is_not_judged(settings: Settings, text: str) -> None:
    (save_evaluation(settings, "1") / "evaluation.json").write_text(text)
    with pytest.raises(EvaluationError, match=r"evaluation\.json is damaged"):
        prepare_decision("1", settings)


def test_an_evaluation_of_other_weights_under_the_same_name_is_not_believed(settings: Settings) -> None:
    save_evaluation(settings, "1", identity="f" * 64)
    with pytest.raises(EvaluationError, match="had other weights: run `llmtwin evaluate 1 --again`"):
        prepare_decision("1", settings)


def test_a_rejection_says_who_and_why() -> None:
    answer = {"params_input": {"reason": " too shrill "}, "responded_by_user": {"id": "7", "name": "ana"}}
    assert rejection([], answer) == "ana: too shrill"
    assert rejection([], {"params_input": {}, "responded_by_user": None}) == "somebody: no reason given"
    assert rejection(["it is worse", "it repeats itself"], None) == "the gate: it is worse; it repeats itself"
