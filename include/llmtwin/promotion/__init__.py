"""From a candidate to what is served as ``twin``: a gate, a human, a switch, and the way back.

::

    evaluation ──▶ gate ──▶ a human ──▶ load into vLLM ──▶ one question ──▶ twin
                     └────────┴─▶ archived, with the reason
"""

from llmtwin.promotion.decision import (
    Decision,
    comparisons,
    figures,
    markdown,
    not_measured,
    prepare_decision,
    rejection,
)
from llmtwin.promotion.gate import Finding, Outcome, Thresholds, Verdict, gate, read_thresholds
from llmtwin.promotion.hub import publish_to_hub
from llmtwin.promotion.smoke import smoke_test
from llmtwin.promotion.switch import Switch, choose, promote, reject, rollback

__all__ = [
    "Decision",
    "Finding",
    "Outcome",
    "Switch",
    "Thresholds",
    "Verdict",
    "choose",
    "comparisons",
    "figures",
    "gate",
    "markdown",
    "not_measured",
    "prepare_decision",
    "promote",
    "publish_to_hub",
    "read_thresholds",
    "reject",
    "rejection",
    "rollback",
    "smoke_test",
]
