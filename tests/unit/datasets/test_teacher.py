"""The teacher over HTTP: slow, down, strict, mad, and asked nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina
from pydantic import SecretStr
from tests.teacher import MODEL, ScriptedTeacher, settings_of

from llmtwin.datasets.teacher import MOST_DROPPED, Task, Teacher, open_teacher, text_in, text_schema
from llmtwin.errors import TeacherError
from llmtwin.settings import Settings


@pytest.fixture
def scripted() -> Iterator[ScriptedTeacher]:
    """A teacher on a real server; pauses between attempts take no time."""
    with ScriptedTeacher() as teacher, stamina.set_testing(True, attempts=3):
        yield teacher


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "teacher.jsonl"


def tasks(count: int) -> list[Task[str]]:
    schema = text_schema("instruction", "a question")
    return [
        Task([{"role": "user", "content": f"Text {number}"}], schema, 50, lambda parsed: text_in(parsed, "instruction"))
        for number in range(count)
    ]


def ask(settings: Settings, journal: Path, count: int = 5) -> tuple[list[str | None], Teacher]:
    with open_teacher(settings, journal) as teacher:
        assert teacher is not None
        return teacher.ask(tasks(count), "texts"), teacher


def test_answers_come_in_the_order_of_the_tasks_and_cost_what_they_cost(
    scripted: ScriptedTeacher, journal: Path
) -> None:
    settings = settings_of(Settings(), scripted, teacher_concurrency=3)
    scripted.delay = 0.01
    answers, teacher = ask(settings, journal, 12)
    assert None not in answers
    assert len(set(answers)) == 12
    assert teacher.used.requests == teacher.spent.requests == 12
    expected = (teacher.used.prompt_tokens * 2.0 + teacher.used.completion_tokens * 8.0) / 1_000_000
    assert teacher.cost(teacher.used) == pytest.approx(expected)
    again, other = ask(settings, journal, 12)
    assert again == answers
    assert other.used == teacher.used
    assert other.spent.requests == 0
    assert len(scripted.requests) == 12


def test_nonsense_is_asked_again_and_then_costs_that_one_item(scripted: ScriptedTeacher, journal: Path) -> None:
    scripted.nonsense = lambda body, number: "Text 3" in str(body["messages"]) or number == 0
    settings = settings_of(Settings(), scripted, teacher_concurrency=1)
    answers, teacher = ask(settings, journal)
    assert [answer is None for answer in answers] == [False, False, False, True, False]
    assert teacher.rejected == {"no JSON": 4}
    assert teacher.used.requests == len(scripted.requests) == 8
    again, other = ask(settings, journal)
    assert (again, other.rejected, len(scripted.requests)) == (answers, teacher.rejected, 8)


@pytest.mark.parametrize("gibberish", ["[]", '"text"', '{"question": "Why?"}', '{"instruction": ["Why?"]}', ""])
def test_every_kind_of_nonsense(gibberish: str, scripted: ScriptedTeacher, journal: Path) -> None:
    scripted.nonsense, scripted.gibberish = (lambda body, number: True), gibberish
    assert ask(settings_of(Settings(), scripted), journal, 2)[0] == [None, None]


def test_a_teacher_that_only_talks_nonsense_is_not_paid_for_long(scripted: ScriptedTeacher, journal: Path) -> None:
    scripted.nonsense = lambda body, number: True
    settings = settings_of(Settings(), scripted, teacher_attempts=1, teacher_concurrency=2)
    with pytest.raises(TeacherError, match=rf"no usable answer to {MOST_DROPPED} items in a row .*no JSON"):
        ask(settings, journal, 200)
    assert MOST_DROPPED <= len(scripted.requests) < 2 * MOST_DROPPED


def test_limits_and_hiccups_are_waited_out(scripted: ScriptedTeacher, journal: Path) -> None:
    scripted.refusals = [(429, "0.01"), (503, None)]
    answers, teacher = ask(settings_of(Settings(), scripted, teacher_concurrency=1), journal)
    assert None not in answers
    assert teacher.used.requests == 5


def test_a_teacher_that_is_down_keeps_what_it_answered(scripted: ScriptedTeacher, journal: Path) -> None:
    settings = settings_of(Settings(), scripted)
    ask(settings, journal, 3)
    scripted.stop()
    with pytest.raises(TeacherError, match=r"does not answer .*kept: start it and build again.*--no-teacher"):
        ask(settings, journal, 5)
    assert None not in ask(settings, journal, 3)[0]


def test_a_teacher_that_is_too_slow(scripted: ScriptedTeacher, journal: Path) -> None:
    scripted.delay = 0.5
    with pytest.raises(TeacherError, match="does not answer"):
        ask(settings_of(Settings(), scripted, teacher_timeout_seconds=0.05), journal, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"teacher_api_key": SecretStr("wrong-key")}, r"HTTP 401: Incorrect API key provided"),
        ({"teacher_api_key": None}, r"HTTP 401"),
        ({"teacher_model": "nobody"}, r"HTTP 404: The model `nobody` does not exist"),
        ({"teacher_model": None}, r"LLMTWIN_TEACHER_MODEL does not say which"),
    ],
)
def test_what_can_only_fail_again_fails_at_once(
    changes: dict[str, object], reason: str, scripted: ScriptedTeacher, journal: Path
) -> None:
    with pytest.raises(TeacherError, match=reason) as caught:
        ask(settings_of(Settings(), scripted, **changes), journal, 1)
    assert "wrong-key" not in str(caught.value)
    assert scripted.requests == []


def test_without_a_setting_there_is_no_teacher(journal: Path) -> None:
    with open_teacher(Settings(teacher_url=None), journal) as teacher:
        assert teacher is None
    assert not journal.exists()


def test_a_request_asks_for_json_of_a_form(scripted: ScriptedTeacher, journal: Path) -> None:
    ask(settings_of(Settings(), scripted), journal, 1)
    [body] = scripted.requests
    assert body["model"] == MODEL
    assert body["response_format"]["type"] == "json_schema"
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["instruction"]
