"""What the judge makes of the answers, as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmtwin.errors import JudgeError
from llmtwin.evaluation.findings import Findings
from llmtwin.evaluation.journal import Journal
from llmtwin.evaluation.judge import Judge, Pair
from llmtwin.evaluation.lineup import BASE, CANDIDATE, PRODUCTION
from llmtwin.evaluation.material import Prompt
from llmtwin.evaluation.served import Answer
from llmtwin.settings import Settings

_NEEDS = "judge/"


def measure_by_judge(
    findings: Findings,
    settings: Settings,
    journal: Journal,
    plain: tuple[Sequence[Prompt], Mapping[str, Sequence[Answer]]],
    grounded: tuple[Sequence[Prompt], Mapping[str, Sequence[Answer]]],
    most: int,
) -> str | None:
    """Add ``judge/style_wins``, ``accuracy_wins`` (1 the candidate, 0 the other), ``<model>/judge_grounding``.

    A judge that is down, or talks nonsense, ends nothing: its numbers are missing, and the reason stands there.

    Args:
        findings: Where to.
        settings: Which judge.
        journal: Where verdicts are kept.
        plain: Prompts without passages, and the answers by model.
        grounded: Prompts with passages, and the answers by model.
        most: Prompts of each kind that are judged.

    Returns:
        Which judge it was; None where there is none.
    """
    if not settings.judge_url and not settings.judge_model:
        findings.not_measured[_NEEDS] = "no judge is configured (LLMTWIN_JUDGE_URL, LLMTWIN_JUDGE_MODEL)"
        return None
    try:
        with Judge(settings, journal) as judge:
            for role, prefix in ((BASE, "judge/"), (PRODUCTION, "judge/production_")):
                if role in plain[1]:
                    _compare(findings, judge, plain, role, prefix, most)
            _support(findings, judge, grounded, most)
            if judge.asked:
                findings.add_value("judge/nonsense", judge.nonsense / judge.asked, len(plain[0]) + len(grounded[0]))
            return judge.name
    except JudgeError as error:
        findings.not_measured[_NEEDS] = str(error)
        return None


def _compare(
    findings: Findings,
    judge: Judge,
    plain: tuple[Sequence[Prompt], Mapping[str, Sequence[Answer]]],
    role: str,
    prefix: str,
    most: int,
) -> None:
    prompts, answers = plain[0][:most], plain[1]
    pairs = [
        Pair(prompt.asked, prompt.text, answers[CANDIDATE][number].text, answers[role][number].text)
        for number, prompt in enumerate(prompts)
    ]
    outcomes = judge.compare(pairs)
    documents = [prompt.document for prompt in prompts]
    for name, values in (
        ("style_wins", [None if one is None else one.style for one in outcomes]),
        ("accuracy_wins", [None if one is None else one.accuracy for one in outcomes]),
        ("swayed", [None if one is None else float(one.swayed) for one in outcomes]),
    ):
        findings.add_mean(f"{prefix}{name}", documents, values)


def _support(
    findings: Findings, judge: Judge, grounded: tuple[Sequence[Prompt], Mapping[str, Sequence[Answer]]], most: int
) -> None:
    prompts = grounded[0][:most]
    if not prompts:
        return
    for role, answers in grounded[1].items():
        pairs = [(prompt.passages or "", answers[number].text) for number, prompt in enumerate(prompts)]
        findings.add_mean(f"{role}/judge_grounding", [prompt.document for prompt in prompts], judge.support(pairs))
