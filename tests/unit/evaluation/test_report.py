import math
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from llmtwin.evaluation.intervals import Estimate
from llmtwin.evaluation.report import render_report
from llmtwin.evaluation.result import (
    DocumentFigures,
    Evaluation,
    ModelCard,
    Options,
    Provenance,
    Sample,
    Written,
)

HOSTILE = '</p><script>alert(1)</script><img src=x onerror="alert(2)">{{ 7*7 }}<style>*{display:none}</style>'


class Tags(HTMLParser):
    """Notes the tags of a page, and what would lead out of it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        names = {"src", "href", "action", "style", *(name for name, _ in attrs if name.startswith("on"))}
        self.links += [str(value) for name, value in attrs if name in names]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def evaluation(**changes: object) -> Evaluation:
    estimates = {
        f"{role}/{name}": Estimate(value=value, low=value * 0.9, high=value * 1.1, documents=5)
        for role, value in (("candidate", 10.0), ("base", 20.0), ("control", 15.0), ("author", 9.0), ("others", 30.0))
        for name in ("perplexity", "delta", "authorship", "words", "grounding", "perplexity_other")
    }
    ratio = Estimate(value=0.5, low=0.4, high=0.6, documents=5)
    names = ("perplexity_ratio", "control_ratio", "control_ratio_reverse", "delta_difference", "authorship_accuracy")
    written = {role: Written(text=HOSTILE, copied=HOSTILE, copied_words=9) for role in ("candidate", "base", "control")}
    found = Evaluation(
        version="7",
        author=HOSTILE,
        dataset=HOSTILE,
        dataset_digest="0" * 64,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        production=None,
        control="3",
        models=[
            ModelCard(role=role, name=f"twin@{role}", version="1", author=HOSTILE, identity="0" * 64)
            for role in ("candidate", "base", "control")
        ],
        options=Options(),
        estimates=estimates | dict.fromkeys(names, ratio),
        not_measured={"judge/": HOSTILE},
        notes=[HOSTILE],
        documents=[DocumentFigures(document="d", title=HOSTILE, tokens=9, perplexity={"candidate": 9.0, "base": 20.0})],
        samples=[
            Sample(
                kind=kind, prompt=HOSTILE, passages=HOSTILE, link="javascript:alert(1)", author=HOSTILE, answers=written
            )
            for kind in ("instruction", "grounded")
        ],
        provenance=Provenance(
            base_model=HOSTILE,
            vllm="1",
            judge=HOSTILE,
            references={HOSTILE: HOSTILE},
            llmtwin="0",
            seconds=1.0,
            scored_tokens=1,
            generated_tokens=1,
        ),
    )
    return found.model_copy(update=changes)


def test_hostile_text_stays_text() -> None:
    page = render_report(evaluation())
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert not {"script", "img", "iframe", "link", "form", "object", "a"} & set(tags.seen)
    assert tags.seen.count("style") == 1
    assert tags.links == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7*7 }}" in page


def test_it_says_what_was_found_and_how_sure_that_is() -> None:
    page = render_report(evaluation(author="Ana Núñez", notes=[], not_measured={}))
    assert "How well twin@7 writes as Ana Núñez" in page
    assert "<strong>0.50</strong>" in page
    assert "0.40 to 0.60" in page
    assert "Before you read on" not in page


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Estimate(value=0.5, low=0.4, high=0.6, documents=5), "✓ yes"),
        (Estimate(value=1.5, low=1.1, high=1.6, documents=5), "✗ no"),
        (Estimate(value=0.9, low=0.8, high=1.1, documents=5), "? open"),
        (Estimate(value=0.5, documents=1), "? open"),
        (Estimate(value=0.5, low=math.nan, high=0.6, documents=5), "? open"),
    ],
)
def test_a_ratio_is_good_only_where_the_whole_interval_is(found: Estimate, verdict: str) -> None:
    assert verdict in render_report(evaluation(estimates={"perplexity_ratio": found}))


def test_it_says_which_distance_of_style_it_shows() -> None:
    found = evaluation()
    assert "Cosine Delta" in render_report(found)
    page = render_report(found.model_copy(update={"provenance": alone(found.provenance)}))
    assert "Cosine Delta" not in page
    assert "in units of the author’s own variation" in page
    assert "<dt>Yardstick</dt><dd>no other author’s text; of Delta: the author’s own training documents</dd>" in page


def alone(provenance: Provenance) -> Provenance:
    return provenance.model_copy(update={"delta": "burrows", "references": {}})


def test_nothing_measured_is_a_report_too() -> None:
    bare = evaluation(estimates={}, documents=[], samples=[], models=[], not_measured={"delta": "no text"})
    assert "<strong>delta</strong> was not measured: no text." in render_report(bare)
