"""Opik's own client, against a server that notes what it sends."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.scripted_server import JsonHandler
from tests.traces import feedback, trace

from llmtwin.errors import SettingsError
from llmtwin.settings import Settings
from llmtwin.traces import Feedback, Trace
from serving.gateway.metrics import Metrics
from serving.gateway.monitoring import open_monitor

HOME = Path(__file__).resolve().parents[4]
PACKAGES = HOME / ".local" / "opik"
INSTALLED = importlib.util.find_spec("opik") is not None

with_client = pytest.mark.skipif(
    not INSTALLED and not PACKAGES.is_dir(), reason="Opik's client is not installed: `make reference` does it"
)

# What a gateway does with it, in a process of its own: the client's packages take the place of the environment's.
SEND = """
import sys
from llmtwin.settings import Settings
from llmtwin.errors import TraceError
from llmtwin.traces import Feedback, Trace
from serving.gateway.monitoring.opik import OpikDestination

url, *records = sys.argv[1:]
destination = OpikDestination(Settings(opik_url=url, opik_api_key="a-key", opik_workspace="ours", opik_project="twin"))
try:
    for record in records:
        kind = Feedback if '"thumbs"' in record else Trace
        entry = kind.model_validate_json(record)
        if kind is Feedback:
            print("knows", destination.knows(entry.trace_id))
        destination.write([entry])
except TraceError as error:
    print("lost", error)
destination.close()
"""


class Opik:
    """A server that knows the traces it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any, dict[str, str]]] = []
        self.down = False
        opik = self

        class Handler(JsonHandler):
            def note(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                opik.requests.append((self.command, self.path, json.loads(body) if body else None, headers))
                self.answer(*opik.answer(self.command, self.path))

            do_GET = do_POST = do_PUT = do_PATCH = note  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/"

    def sent(self, path: str) -> list[Any]:
        return [body for _, seen, body, _ in self.requests if seen.endswith(path)]

    def answer(self, method: str, path: str) -> tuple[int, bytes]:
        if method != "GET" or "/traces/" not in path:
            return (200, b"{}") if method == "GET" else (204, b"")
        known = [one for batch in self.sent("/traces/batch") for one in batch["traces"] if path.endswith(one["id"])]
        if not known:
            return 404, b'{"errors": ["Trace not found"]}'
        return 200, json.dumps({"id": known[0]["id"], "start_time": known[0]["start_time"]}).encode()


@pytest.fixture
def opik() -> Iterator[Opik]:
    server = Opik()
    thread = threading.Thread(target=server.server.serve_forever)
    thread.start()
    yield server
    server.server.shutdown()
    thread.join()
    server.server.server_close()


def send(url: str, tmp_path: Path, *records: Trace | Feedback) -> str:
    paths = [HOME / "include", HOME] if INSTALLED else [PACKAGES, HOME / "include", HOME]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPIK_", "LLMTWIN_"))}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, paths)), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", SEND, url, *(record.model_dump_json() for record in records)]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.reference
@with_client
def test_a_trace_and_what_somebody_thinks_of_it(opik: Opik, tmp_path: Path) -> None:
    kept = trace(
        question="Why?",
        prompt=[{"role": "user", "content": "Why?"}],
        answer=["Because."],
        parameters={"temperature": 0.2},
        steps={"search": 0.1, "prompt": 0.05, "first_token": 0.3, "total": 1.0},
    )
    opinion = feedback(kept.trace_id, "down", comment="Too short.", corrected_text="Because of that.", key="digest")
    assert send(opik.url, tmp_path, kept, opinion, feedback("0" * 32)).splitlines()[:2] == ["knows True", "knows False"]
    id_ = str(UUID(kept.trace_id))
    [there] = opik.sent("/traces/batch")[0]["traces"]
    assert (there["id"], there["project_name"], there["tags"]) == (id_, "twin", ["twin@3"])
    assert (there["input"], there["output"]) == ({"question": "Why?"}, {"answer": ["Because."]})
    assert there["metadata"]["passages"][0]["score"] == 0.5
    [span] = opik.sent("/spans/batch")[0]["spans"]
    assert (span["trace_id"], span["type"], span["model"]) == (id_, "llm", "twin@3")
    assert span["usage"]["completion_tokens"] == 2
    assert span["input"] == {"prompt": kept.prompt}
    assert span["metadata"]["temperature"] == 0.2
    [score] = opik.sent("/feedback-scores")[0]["scores"]
    assert (score["id"], score["name"], score["value"]) == (id_, "thumbs digest", 0.0)
    assert score["reason"] == "Too short.\n\nCorrected:\nBecause of that."
    assert {headers["authorization"] for *_, headers in opik.requests} == {"a-key"}


@pytest.mark.reference
@with_client
def test_a_failed_request(opik: Opik, tmp_path: Path) -> None:
    send(opik.url, tmp_path, trace(status=502, served="", error="the model failed", usage={}))
    [there] = opik.sent("/traces/batch")[0]["traces"]
    assert there["error_info"]["message"] == "the model failed"
    assert opik.sent("/spans/batch") == []


@pytest.mark.reference
@with_client
def test_an_opik_that_is_down(tmp_path: Path) -> None:
    said = send("http://127.0.0.1:1/api/", tmp_path, trace())
    assert said.startswith("lost Opik at http://127.0.0.1:1/api/ did not take the traces within")


@pytest.mark.skipif(INSTALLED, reason="Opik's client is installed")
@pytest.mark.parametrize("setting", [{"opik_url": "http://127.0.0.1:1/api/"}, {"opik_api_key": "a-key"}])
def test_without_its_client_the_gateway_does_not_start(setting: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"pip install -r requirements-opik\.txt"):
        open_monitor(Settings.model_validate(setting), Metrics())
