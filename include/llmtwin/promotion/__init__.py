"""From a candidate to what is served as ``twin``: a gate, a human, a switch, and the way back.

::

    evaluation ──▶ gate ──▶ a human ──▶ load into vLLM ──▶ one question ──▶ twin
                     └────────┴─▶ archived, with the reason
"""

from llmtwin.promotion.gate import Finding, Outcome, Thresholds, Verdict, gate, read_thresholds
from llmtwin.promotion.smoke import smoke_test
from llmtwin.promotion.switch import Switch, choose, promote, reject, rollback

__all__ = [
    "Finding",
    "Outcome",
    "Switch",
    "Thresholds",
    "Verdict",
    "choose",
    "gate",
    "promote",
    "read_thresholds",
    "reject",
    "rollback",
    "smoke_test",
]
