"""A source crawled again: which events that makes, with the real MongoDB, CDC service and RabbitMQ."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.documents import AUTHOR, article, store
from tests.integration.sources.repositories import commit, git

from llmtwin import crawling
from llmtwin.cdc import CdcService, state
from llmtwin.documents import Event
from llmtwin.events import DrainLimits, drain, queue_depth
from llmtwin.settings import Settings
from llmtwin.warehouse import ensure_schema, open_database

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel
    from pymongo.database import Database

    Warehouse = Database[dict[str, Any]]

pytestmark = pytest.mark.stack


@pytest.fixture
def database(mongodb: Warehouse, settings: Settings) -> Warehouse:
    database = open_database(mongodb.client, settings)
    ensure_schema(database)
    return database


@pytest.fixture
def streaming(settings: Settings, database: Warehouse, channel: BlockingChannel) -> Iterator[None]:
    """The CDC service, running and past its first snapshot."""
    stop = threading.Event()
    thread = threading.Thread(target=CdcService(settings, stop).run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not state.load(database):
            assert time.monotonic() < deadline, "the service did not start"
            time.sleep(0.02)
        yield
    finally:
        stop.set()
        thread.join(timeout=30)
        assert not thread.is_alive()


def events_until_now(database: Warehouse, channel: BlockingChannel) -> list[Event]:
    """Return every event up to a document that is written now and stands for the end."""
    end = article(0, f"The end at {time.monotonic_ns()}.")
    store(database, end)
    taken: list[Event] = []
    deadline = time.monotonic() + 30
    while not any(event.document_id == end.id for event in taken):
        assert time.monotonic() < deadline, "the events did not come"
        if queue_depth(channel):
            drain(channel, DrainLimits(), taken.extend)
        time.sleep(0.02)
    return [event for event in taken if event.document_id != end.id]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of 500 files."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    commit(folder, {f"part{number % 20}/file{number}.py": f"x = {number}\n" for number in range(500)})
    return folder


@pytest.mark.usefixtures("streaming")
def test_a_repository_makes_events_for_what_changed_alone(
    database: Warehouse, channel: BlockingChannel, settings: Settings, repository: Path
) -> None:
    allowed = settings.model_copy(update={"crawl_allow_local": True})
    [source] = crawling.sources_to_crawl(database, AUTHOR.full_name, [str(repository)], allowed)

    def crawl() -> tuple[dict[str, Any], list[Event]]:
        return crawling.crawl_source(database, source, allowed), events_until_now(database, channel)

    result, events = crawl()
    assert (result["found"], result["new"]) == (500, 500)
    assert Counter(event.op for event in events) == {"create": 500}

    result, events = crawl()
    assert (result["found"], result["unchanged"]) == (500, 500)
    assert events == []

    commit(repository, {"part3/file3.py": "x = 'changed'\n"})
    result, events = crawl()
    assert (result["changed"], result["unchanged"]) == (1, 499)
    [event] = events
    assert event.op == "update"
    assert event.document is not None and event.document["path"] == "part3/file3.py"

    (repository / "part4" / "file4.py").unlink()
    git(repository, "mv", "part5/file5.py", "moved.py")
    commit(repository)
    result, events = crawl()
    assert (result["deleted"], result["missed"], result["new"], result["unchanged"]) == (2, 0, 1, 498)
    assert Counter(event.op for event in events) == {"delete": 2, "create": 1}

    assert crawl()[1] == []


@pytest.mark.usefixtures("streaming")
def test_a_miss_makes_no_event_and_the_second_one_a_delete(
    database: Warehouse, channel: BlockingChannel, settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "blog"
    folder.mkdir()
    for name in ("stays", "goes", "returns"):
        (folder / f"{name}.md").write_text(f"# {name}\n\nA text that {name}.\n")
    allowed = settings.model_copy(update={"crawl_allow_local": True})
    [source] = crawling.sources_to_crawl(database, AUTHOR.full_name, [str(folder)], allowed)

    def crawl() -> list[str]:
        crawling.crawl_source(database, source, allowed)
        return [str(event.op) for event in events_until_now(database, channel)]

    assert crawl() == ["create"] * 3
    (folder / "goes.md").unlink()
    (folder / "returns.md").rename(tmp_path / "returns.md")
    assert crawl() == []
    (tmp_path / "returns.md").rename(folder / "returns.md")
    assert crawl() == ["delete"]
    assert crawl() == []
