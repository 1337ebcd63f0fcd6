"""Nothing missing, nothing stale, nothing twice, whichever process is killed at whatever moment.

Documents are created, changed and deleted in MongoDB while the CDC process and the running task are killed (SIGKILL)
and started again; in the longer variant also the servers. At the end Qdrant holds exactly what MongoDB implies.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from tests.conftest import BINARIES
from tests.e2e import task_loop
from tests.e2e.changes import Change, random_history
from tests.e2e.supervised import Supervised

from llmtwin import vectors, warehouse
from llmtwin.documents import KIND_OF_COLLECTION, chunk_id
from llmtwin.events import DEAD_QUEUE, connect, queue_depth
from llmtwin.local.ports import free_port
from llmtwin.local.servers import MongoServer, QdrantServer, RabbitServer, Server
from llmtwin.settings import Settings, settings_environment
from llmtwin.staging import pending_batches
from llmtwin.vectors.collections import cleaned_alias, embedded_alias

if TYPE_CHECKING:
    from pymongo.database import Database
    from qdrant_client import QdrantClient

    Warehouse = Database[dict[str, Any]]

pytestmark = pytest.mark.stack

CREATED, UPDATED, DELETED = 200, 50, 30
STEPS = ("drain", "clean", "embed")  # chunk writes nothing but a file, which clean does too
QUIET_WITHIN_SECONDS = 600


class MortalServer:
    """A running server that may be killed; it comes back with its data."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._process: subprocess.Popen[bytes] = server.start()

    def kill(self, seconds_away: float) -> None:
        """SIGKILL it, wait a while, and start it again."""
        self._process.kill()
        self._process.wait()
        time.sleep(seconds_away)
        self._process = self.server.start()
        self.server.wait_ready()


@pytest.fixture
def mortal_servers(tmp_path: Path) -> Iterator[list[MortalServer]]:
    """MongoDB, RabbitMQ and Qdrant, for this test alone."""
    servers: list[Server] = [
        MongoServer(tmp_path / "mongodb", free_port(), BINARIES),
        RabbitServer(tmp_path / "rabbitmq", free_port(), free_port(), free_port()),
        QdrantServer(tmp_path / "qdrant", free_port()),
    ]
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
        mortal = [MortalServer(server) for server in servers]
        for server in servers:
            server.wait_ready()
        yield mortal


def test_survives_kills_of_the_pipeline(empty_stores: Settings) -> None:
    run(empty_stores, seed=1, kills=12)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(2, 6))
def test_survives_kills_of_the_pipeline_and_of_every_server(
    settings: Settings, mortal_servers: list[MortalServer], seed: int
) -> None:
    names = ("mongodb_url", "rabbitmq_url", "qdrant_url")
    urls = {name: mortal.server.url for name, mortal in zip(names, mortal_servers, strict=True)}
    run(settings.model_copy(update=urls), seed, kills=30, servers=mortal_servers)


def run(settings: Settings, seed: int, kills: int, servers: Sequence[MortalServer] = ()) -> None:
    """Write and kill in random order, wait until all is quiet, and compare."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    settings = settings.model_copy(update={"drain_max_messages": 20})  # many small batches
    environment = settings_environment(settings)
    changes = random_history(chance, CREATED, UPDATED, DELETED)
    with warehouse.connect(settings) as client, ExitStack() as stack:
        database = warehouse.open_database(client, settings)
        warehouse.ensure_schema(database)
        # Some are there before the CDC service starts for the first time, so that it has something to copy.
        early = chance.randint(10, 30)
        for change in changes[:early]:
            change.apply(database)
        cdc, tasks = (
            stack.enter_context(Supervised([sys.executable, *command], environment, settings.data / log))
            for log, command in {"cdc.log": ["-m", "llmtwin.cli", "cdc"], "tasks.log": [task_loop.__file__]}.items()
        )
        strikes: list[Callable[[], None]] = [cdc.kill] * (kills // 2)
        strikes += [partial(kill_during, step, tasks, chance) for step in [*STEPS] * (kills // 2 // len(STEPS))]
        strikes += [partial(mortal.kill, chance.uniform(0, 2)) for mortal in servers]
        write_and_kill(chance, database, changes[early:], strikes)
        finish(settings, cdc, tasks, changes[-1])
        print("the task was killed at:", *tasks.kills, sep="\n  ")
        assert cdc.failures == []
        assert tasks.failures == [] or servers, "a task failed although every server was up"
        with vectors.connect(settings) as qdrant:
            assert_exact(settings, database, qdrant, {change.document.id for change in changes if change.deletes})


def write_and_kill(
    chance: random.Random, database: Warehouse, changes: Sequence[Change], strikes: Sequence[Callable[[], None]]
) -> None:
    """Make all changes, in their order, and strike at random moments between them."""
    at = dict(zip(chance.sample(range(len(changes)), len(strikes)), strikes, strict=True))
    for number, change in enumerate(changes):
        change.apply(database)
        time.sleep(chance.expovariate(1 / 0.1))
        if number in at:
            at[number]()


def kill_during(step: str, tasks: Supervised, chance: random.Random) -> None:
    """Kill the task a random moment after it began this step; after a few seconds, whatever it does."""
    tasks.wait_for_line(step, seconds=4)
    time.sleep(chance.uniform(0, 0.4))
    tasks.kill()


def finish(settings: Settings, cdc: Supervised, tasks: Supervised, last: Change) -> None:
    """Let both processes run until all is worked off, then stop them.

    The stream keeps MongoDB's order: when the last change is in Qdrant, everything before it has left the CDC service.
    """
    alias, point = cleaned_alias(last.document.kind), str(last.document.id)
    with vectors.connect(settings) as client:
        keep_running([cdc, tasks], until=lambda: client.retrieve(alias, [point]))
    cdc.stop()
    while not is_quiet(settings):
        keep_running([tasks], until=lambda: is_quiet(settings))
        # What a drain holds but has not acknowledged is in neither count; ending, it finishes or gives back.
        tasks.stop()


def keep_running(processes: Sequence[Supervised], until: Callable[[], object]) -> None:
    """Start again what ended, as a supervisor does, until a condition holds."""
    deadline = time.monotonic() + QUIET_WITHIN_SECONDS
    while not until():
        for process in processes:
            process.start()
        assert time.monotonic() < deadline, "the pipeline does not come to rest"
        time.sleep(0.2)


def is_quiet(settings: Settings) -> bool:
    """Tell whether nothing waits in the queue and no batch is unfinished."""
    with connect(settings.rabbitmq) as channel:
        return queue_depth(channel) == 0 and not pending_batches(settings.batches)


def assert_exact(settings: Settings, database: Warehouse, qdrant: QdrantClient, deleted: set[UUID]) -> None:
    """Check with ``compare``, and again without it, that Qdrant holds what MongoDB implies and nothing else."""
    with connect(settings.rabbitmq) as channel:
        assert queue_depth(channel, DEAD_QUEUE) == 0
    for found in vectors.compare(database, qdrant, settings):
        assert found.holds, found
        assert found.unreadable == {}
    alive: set[UUID] = set()
    for collection, kind in KIND_OF_COLLECTION.items():
        of_kind = {row["_id"] for row in database[collection].find({}, {"_id": True})}
        alive |= of_kind
        assert points(qdrant, cleaned_alias(kind)).keys() == of_kind
        places: dict[UUID, list[int]] = defaultdict(list)
        for id_, payload in points(qdrant, embedded_alias(kind)).items():
            document, position = UUID(payload["document_id"]), payload["position"]
            assert id_ == chunk_id(document, position)
            places[document].append(position)
        assert places.keys() == of_kind
        for document, positions in places.items():
            assert sorted(positions) == list(range(len(positions))), document
        assert max(Counter(map(len, places.values()))) > 1, f"no {kind} was long enough to be cut"
    assert len(alive) == CREATED - DELETED
    assert not alive & deleted
    # A document whose whole life passed before the first snapshot left no trace, not even a tombstone.
    tombstones = points(qdrant, vectors.TOMBSTONES).keys()
    assert tombstones
    assert tombstones <= deleted


def points(client: QdrantClient, collection: str) -> dict[UUID, dict[str, Any]]:
    """Return the payloads of a collection's points."""
    records, rest = client.scroll(collection, limit=100_000, with_payload=True)
    assert rest is None
    return {UUID(str(record.id)): record.payload or {} for record in records}
