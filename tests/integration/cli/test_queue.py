"""`llmtwin dead-letters` on a real RabbitMQ."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pika
import pytest
from click.testing import Result
from tests.documents import article, event
from typer.testing import CliRunner

from llmtwin import sync
from llmtwin.cli import app
from llmtwin.events import DEAD_QUEUE, EXCHANGE, QUEUE, connect, queue_depth
from llmtwin.settings import Settings, get_settings

pytestmark = pytest.mark.stack


@pytest.fixture
def llmtwin(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """The command line, on the test's servers, with two unreadable messages dead-lettered."""
    monkeypatch.setenv("RABBITMQ_URL", settings.rabbitmq)
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()
    with connect(settings.rabbitmq) as channel:
        channel.queue_purge(QUEUE)
        channel.queue_purge(DEAD_QUEUE)
        surprise = event(article(1)).to_json().replace(b'"op":', b'"[/bold]":1,"op":')
        for body in (surprise, b"no JSON [/] at all"):
            channel.basic_publish(EXCHANGE, "article.[/red]", body, pika.BasicProperties(message_id="[/]"))
    assert sync.drain(settings).dead == 2
    yield lambda *arguments: CliRunner().invoke(app, ["dead-letters", *arguments])
    get_settings.cache_clear()


def test_letters_are_shown_as_they_are_whatever_they_hold(llmtwin: Callable[..., Result]) -> None:
    listed = llmtwin("list", "--limit", "1")
    assert listed.exit_code == 0, listed.output
    assert "[/bold]: Extra inputs are not permitted" in listed.output
    assert "article.[/red]" in listed.output
    assert "1 more; see them with --limit 2" in listed.output
    assert "no JSON [/] at all" in llmtwin("show", "2").output


def test_a_letter_that_is_not_there_is_refused(llmtwin: Callable[..., Result]) -> None:
    shown = llmtwin("show", "3")
    assert shown.exit_code == 2
    assert "only 2 dead letters" in shown.output


def test_only_what_was_chosen_goes_round_again(settings: Settings, llmtwin: Callable[..., Result]) -> None:
    assert llmtwin("requeue").exit_code == 2
    assert llmtwin("requeue", "--reason", "not JSON").output == "1 requeued\n"
    with connect(settings.rabbitmq) as channel:
        assert (queue_depth(channel), queue_depth(channel, DEAD_QUEUE)) == (1, 1)
    assert llmtwin("requeue", "1").output == "1 requeued\n"
    assert "no dead letters" in llmtwin("list").output
