"""What survives: crashes, restarts, a second process, writers and readers at once. The local server only."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse
from tests.integration.local.qdrant.server import LocalQdrant

pytestmark = pytest.mark.stack

DENSE = {"dense": models.VectorParams(size=8, distance=models.Distance.DOT)}


def points(start: int, count: int, **payload: object) -> list[models.PointStruct]:
    return [
        models.PointStruct(id=i, vector={"dense": [float(i % 7), *[1.0] * 7]}, payload={"n": i, **payload})
        for i in range(start, start + count)
    ]


def all_ids(client: QdrantClient, collection: str) -> list[int | str]:
    return [one.id for one in client.scroll(collection, limit=1_000_000, with_payload=False)[0]]


def switch(alias: str, collection: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(alias_name=alias, collection_name=collection))


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "waited a minute in vain"
        time.sleep(0.05)


def test_a_killed_server_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    server = LocalQdrant(tmp_path)
    acknowledged = 0
    for _ in range(3):
        with server:
            client = server.client()
            if not client.collection_exists("posts"):
                client.create_collection("posts", vectors_config=DENSE)
                client.create_payload_index("posts", "n", models.PayloadSchemaType.INTEGER)
                client.update_collection_aliases([switch("alias", "posts")])
            assert all_ids(client, "alias") == list(range(acknowledged))
            for _ in range(5):
                client.upsert("posts", points(acknowledged, 300))
                acknowledged += 300
            server.kill()
    with server:
        client = server.client()
        assert all_ids(client, "alias") == list(range(acknowledged))
        assert client.get_collection("posts").payload_schema["n"].points == acknowledged


def test_a_server_killed_while_it_writes_comes_back_whole(tmp_path: Path) -> None:
    server = LocalQdrant(tmp_path)
    acknowledged: list[int] = []
    with server:
        server.client().create_collection("posts", vectors_config=DENSE)

        def write() -> None:
            client = server.client()
            for start in range(0, 1_000_000, 100):
                try:
                    client.upsert("posts", points(start, 100))
                except ApiException:
                    return
                acknowledged.append(start)

        writer = threading.Thread(target=write)
        writer.start()
        wait_until(lambda: len(acknowledged) > 20)
        server.kill()
        writer.join()
    with server:
        found = set(all_ids(server.client(), "posts"))
        assert found >= {i for start in acknowledged for i in range(start, start + 100)}
        server.client().upsert("posts", points(0, 10, again=True))


def test_a_clean_stop_keeps_what_nobody_waited_for(tmp_path: Path) -> None:
    server = LocalQdrant(tmp_path)
    with server:
        client = server.client()
        client.create_collection("posts", vectors_config=DENSE)
        client.upsert("posts", points(0, 500), wait=False)
        assert server.stop() == 0
    with server:
        assert server.client().count("posts").count == 500


def test_what_an_interrupted_creation_left_is_swept_away(tmp_path: Path) -> None:
    unfinished = tmp_path / "collections" / "abc"
    (unfinished / "shard").mkdir(parents=True)
    (unfinished / "shard" / "half").write_bytes(b"written")
    (unfinished / "collection.tmp").write_bytes(b'{"name": "po')
    with LocalQdrant(tmp_path) as server:
        assert server.client().get_collections().collections == []
        assert not unfinished.exists()
        server.client().create_collection("posts", vectors_config={})


def test_deleted_collections_and_aliases_stay_deleted(tmp_path: Path) -> None:
    server = LocalQdrant(tmp_path)
    with server:
        client = server.client()
        for name in ("old", "new"):
            client.create_collection(name, vectors_config={})
        client.update_collection_aliases([switch("gone", "old"), switch("kept", "new")])
        client.delete_collection("old")
        server.kill()
    with server:
        client = server.client()
        assert [one.name for one in client.get_collections().collections] == ["new"]
        assert [one.alias_name for one in client.get_aliases().aliases] == ["kept"]
        assert len(list((tmp_path / "collections").iterdir())) == 1


def test_a_second_process_is_told_that_the_folder_is_taken(tmp_path: Path) -> None:
    with LocalQdrant(tmp_path) as server:
        second = subprocess.run(LocalQdrant(tmp_path).command(), capture_output=True, text=True, timeout=60)
        assert second.returncode == 1
        assert second.stderr.startswith("error: another process has the Qdrant data folder")
        assert str(tmp_path) in second.stderr
        assert server.client().get_collections().collections == []


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with LocalQdrant(tmp_path / "first") as server:
        other = LocalQdrant(tmp_path / "second")
        other.port = server.port
        second = subprocess.run(other.command(), capture_output=True, text=True, timeout=60)
        assert second.returncode == 1
        assert f"cannot listen on 127.0.0.1:{server.port}" in second.stderr


def test_the_index_is_built_while_writers_and_readers_go_on(tmp_path: Path) -> None:
    server = LocalQdrant(tmp_path)
    failures: list[BaseException] = []
    built = threading.Event()
    written = [0, 0]

    def write(lane: int) -> None:
        client = server.client()
        while not built.is_set():
            client.upsert("posts", points(100_000 * (lane + 1) + written[lane], 50, lane=lane))
            written[lane] += 50
            client.delete("posts", models.PointIdsList(points=[written[lane] + lane]))

    def read() -> None:
        client = server.client()
        while not built.is_set():
            hits = client.query_points("posts", query=[1.0, *[0.0] * 7], using="dense", limit=5).points
            assert [one.score for one in hits] == [6.0] * 5

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        return run

    # The engine builds an index only over 10 MB of vectors; those of "posts" are too short, "wide" has enough.
    wide = models.VectorParams(size=512, distance=models.Distance.DOT)
    with server:
        client = server.client()
        client.create_collection("posts", vectors_config=DENSE)
        client.create_collection("wide", vectors_config={"dense": wide})
        before = shards(tmp_path)
        for start in range(0, 12_000, 1_000):
            client.upsert("posts", points(start, 1_000))
            client.upsert(
                "wide",
                [
                    models.PointStruct(id=i, vector={"dense": [float(i % 11 == d % 11) for d in range(512)]})
                    for i in range(start, start + 1_000)
                ],
                wait=False,
            )
        threads = [threading.Thread(target=guarded(lambda lane=lane: write(lane))) for lane in (0, 1)]  # type: ignore[misc]
        threads += [threading.Thread(target=guarded(read)) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: bool(failures) or not before & shards(tmp_path))
        built.set()
        for thread in threads:
            thread.join()
        assert failures == []

        assert client.get_collection("wide").indexed_vectors_count > 0
        assert client.count("wide").count == 12_000
        expected = set(range(12_000))
        for lane in (0, 1):
            expected |= set(range(100_000 * (lane + 1), 100_000 * (lane + 1) + written[lane]))
            expected -= {count + lane for count in range(50, written[lane] + 1, 50)}
        assert set(all_ids(client, "posts")) == expected
        server.kill()
    with server:
        assert set(all_ids(server.client(), "posts")) == expected


@pytest.mark.parametrize("ending", ["deleted", "stopped"])
def test_a_collection_may_go_while_its_index_is_built(tmp_path: Path, ending: str) -> None:
    server = LocalQdrant(tmp_path)
    with server:
        client = server.client()
        wide = models.VectorParams(size=384, distance=models.Distance.COSINE)
        client.create_collection("posts", vectors_config={"dense": wide})
        for start in range(0, 12_000, 1_000):
            rows = [
                models.PointStruct(id=i, vector={"dense": [float((i * d) % 13) for d in range(384)]})
                for i in range(start, start + 1_000)
            ]
            client.upsert("posts", rows)
        wait_until(lambda: client.get_collection("posts").status == models.CollectionStatus.YELLOW)
        if ending == "deleted":
            client.delete_collection("posts")
            client.create_collection("posts", vectors_config={})
            wait_until(lambda: len(list((tmp_path / "collections").iterdir())) == 1)
        else:
            assert server.stop() == 0
            (folder,) = (tmp_path / "collections").iterdir()
            assert len(list(folder.iterdir())) == 2, "the description and one shard"
    with server:
        assert server.client().count("posts").count == (0 if ending == "deleted" else 12_000)


def shards(data_dir: Path) -> set[str]:
    """The shard folders in use."""
    described = (data_dir / "collections").glob("*/collection.json")
    return {json.loads(one.read_bytes())["shard"] for one in described}


def test_a_key_is_asked_for_where_one_is_set(tmp_path: Path) -> None:
    with LocalQdrant(tmp_path, "--api-key", "naïve key 🔑") as server:
        for headers in ({}, {"api-key": "wrong"}, {"authorization": "Bearer wrong"}):
            answer = httpx.get(f"{server.url}/collections", headers=headers)
            assert answer.status_code == 401
            assert answer.json()["status"]["error"]
        with pytest.raises(UnexpectedResponse) as refused:
            server.client().get_collections()
        assert refused.value.status_code == 401
        assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_the_right_key_opens(tmp_path: Path) -> None:
    with LocalQdrant(tmp_path, "--api-key", "secret") as server:
        with pytest.warns(UserWarning, match="insecure connection"):
            client = QdrantClient(url=server.url, api_key="secret")
        assert client.get_collections().collections == []
        bearer = {"authorization": "Bearer secret"}
        assert httpx.get(f"{server.url}/collections", headers=bearer).status_code == 200
