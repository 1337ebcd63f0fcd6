"""What a running gateway keeps of requests, and of what people say about its answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.serving.gateway.conftest import Gateway, ScriptedVllm, Serve
from typer.testing import CliRunner

from llmtwin import cli
from llmtwin.errors import TraceError
from llmtwin.keys import KeyFile
from llmtwin.settings import get_settings
from llmtwin.traces import JudgedTrace, Thumbs, TraceStore, key_digest

pytestmark = pytest.mark.stack

HEADER = "x-llmtwin-trace-id"
UNKNOWN = "01a1fd7ba5f27f7683f4dc6a89ca62e5"
QUESTION = "What do you think of mascarpone?"


def ask(gateway: Gateway, key: str = "", **fields: Any) -> httpx.Response:
    body = {"model": "twin", "messages": [{"role": "user", "content": QUESTION}], **fields}
    return gateway.http.post("/v1/chat/completions", json=body, headers=bearer(key))


def judge(gateway: Gateway, trace_id: str, key: str = "", **fields: Any) -> httpx.Response:
    body = {"trace_id": trace_id, "thumbs": "up", **fields}
    return gateway.http.post("/v1/feedback", json=body, headers=bearer(key))


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def kept(gateway: Gateway, number: int, condition: Callable[[list[JudgedTrace]], bool] = bool) -> list[JudgedTrace]:
    """Return so many traces, the newest first, once there are."""
    deadline = time.monotonic() + 20
    while len(found := list(TraceStore(gateway.settings).newest_first())) < number or not condition(found):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    assert len(found) == number
    return found


def metric(gateway: Gateway, outcome: str) -> float:
    for line in gateway.http.get("/metrics").text.splitlines():
        if line.startswith(f'gateway_traces_total{{outcome="{outcome}"}}'):
            return float(line.split()[-1])
    return 0.0


@pytest.mark.parametrize("stream", [False, True])
def test_a_trace_of_figures_without_content(gateway: Gateway, stream: bool) -> None:
    answer = ask(gateway, stream=stream, temperature=0.3, user="jane", stop=["secret word"])
    [judged] = kept(gateway, 1)
    trace = judged.trace
    assert trace.trace_id == answer.headers[HEADER] == answer.headers["x-request-id"]
    assert (trace.path, trace.model, trace.served, trace.status) == ("/v1/chat/completions", "twin", "base", 200)
    assert trace.parameters == {"temperature": 0.3, "stream": stream}
    assert trace.steps["total"] >= trace.steps["first_token"] > 0
    if not stream:
        assert trace.usage["completion_tokens"] == 5
    assert trace.notes
    written = b"".join(path.read_bytes() for path in (gateway.settings.traces / "traces").iterdir())
    for secret in (b"mascarpone", b"word word", b"secret word", b"jane"):
        assert secret not in written


@pytest.mark.parametrize("stream", [False, True])
def test_content_if_it_is_asked_for_and_secrets_never(serve: Serve, vllm: ScriptedVllm, stream: bool) -> None:
    gateway = serve(trace_content=True)
    key = KeyFile(gateway.settings.gateway_keys).add("jane")
    vllm.script(tokens=1, text=f"My key is {key}.")
    answer = ask(gateway, key, stream=stream, stream_options={"include_usage": True} if stream else None)
    trace = kept(gateway, 1)[0].trace
    assert answer.status_code == 200
    assert trace.question == QUESTION
    assert trace.prompt[-1] == {"role": "user", "content": QUESTION}
    assert trace.answer == ["My key is [secret]."]
    assert trace.usage["completion_tokens"] == 1
    assert trace.key == key_digest("jane")
    written = b"".join(path.read_bytes() for path in (gateway.settings.traces / "traces").iterdir())
    assert key.encode() not in written
    assert b"jane" not in written


def test_passages_are_named_with_their_scores(serve: Serve, gateway: Gateway, qdrant_url: str, tmp_path: Path) -> None:
    from tests.documents import article
    from tests.integration.retrieval.conftest import index

    from llmtwin import vectors

    filled = serve(qdrant_url=qdrant_url)
    with vectors.connect(filled.settings) as client:
        for collection in client.get_collections().collections:
            client.delete_collection(collection.name)
    index(filled.settings, article(content="Mascarpone belongs in tiramisu."))
    cited = ask(filled).json()["citations"]
    passages = kept(filled, 1)[0].trace.passages
    assert [(one.link, pytest.approx(one.score, abs=1e-5)) for one in passages] == [
        (one["link"], one["score"]) for one in cited
    ]
    assert {"search", "prompt", "total"} <= set(kept(filled, 1)[0].trace.steps)


def test_what_failed_is_always_kept(serve: Serve, vllm: ScriptedVllm) -> None:
    gateway = serve(trace_sample=0.0)
    answer = ask(gateway)
    assert answer.status_code == 200
    assert HEADER not in answer.headers
    vllm.script(status=500)
    assert ask(gateway).status_code == 502
    assert ask(gateway, model="nobody").status_code == 404
    first, second = kept(gateway, 2)
    assert (first.trace.status, first.trace.served) == (404, "")
    assert second.trace.status == 502
    assert second.trace.error == "the model failed: the script says so"


def test_what_the_model_server_repeats_of_a_request_is_not_kept(gateway: Gateway) -> None:
    image = {"type": "image_url", "image_url": {"url": "x"}}
    response = ask(gateway, model="base", messages=[{"role": "user", "content": [image]}])
    assert "multimodal" in response.json()["error"]["message"]
    (judged,) = kept(gateway, 1)
    assert (judged.trace.status, judged.trace.error) == (400, "the model refused the request")


def test_a_failure_of_our_own_is_not_said_to_be_the_clients(serve: Serve) -> None:
    gateway = serve()
    gateway.settings.registry.mkdir(parents=True, exist_ok=True)
    (gateway.settings.registry / "index.json").write_text("{")
    assert ask(gateway, model="twin").status_code == 503
    (judged,) = kept(gateway, 1)
    assert (judged.trace.status, judged.trace.error) == (503, "the registry cannot be read")


def test_a_client_that_leaves_and_a_model_that_breaks_off(gateway: Gateway, vllm: ScriptedVllm) -> None:
    vllm.script(tokens=2_000, interval=0.02)
    body = {"model": "base", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())
    assert kept(gateway, 1)[0].trace.status == 499
    vllm.script(tokens=9, cut_after=3)
    ask(gateway, stream=True)
    broken = kept(gateway, 2)[0].trace
    assert broken.status == 502
    assert "broke off" in str(broken.error)


def test_feedback_is_kept_beside_the_trace_and_the_latest_counts(gateway: Gateway) -> None:
    trace_id = ask(gateway).headers[HEADER]
    # At once: the trace may not be written yet.
    assert judge(gateway, trace_id, thumbs="up", comment="naïve 日本").json() == {"trace_id": trace_id, "thumbs": "up"}
    for _ in range(2):
        assert judge(gateway, trace_id, thumbs="down", corrected_text="Better.").status_code == 200
    [judged] = kept(gateway, 1)
    assert [(one.thumbs, one.corrected_text, one.comment) for one in judged.feedback] == [("down", "Better.", None)]


def test_each_key_has_its_own_opinion(serve: Serve) -> None:
    gateway = serve()
    keys = {name: KeyFile(gateway.settings.gateway_keys).add(name) for name in ("jane", "joe")}
    trace_id = ask(gateway, keys["jane"]).headers[HEADER]
    assert judge(gateway, trace_id).status_code == 401
    judge(gateway, trace_id, keys["jane"], thumbs="up")
    judge(gateway, trace_id, keys["joe"], thumbs="down")
    judge(gateway, trace_id, keys["joe"], thumbs="down")
    given = {one.key: one.thumbs for one in kept(gateway, 1)[0].feedback}
    assert given == {key_digest("jane"): Thumbs.UP, key_digest("joe"): Thumbs.DOWN}


@pytest.mark.parametrize("trace_id", [UNKNOWN, "f" * 32, "nothing", "", "../../etc/passwd", "\x00"])
def test_feedback_on_an_unknown_trace(any_gateway: Gateway, trace_id: str) -> None:
    ask(any_gateway)
    answer = judge(any_gateway, trace_id)
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "message": f"there is no trace {trace_id!r}: send the x-llmtwin-trace-id of an answer; traces are kept for a "
        "while only",
        "type": "invalid_request_error",
        "param": "trace_id",
        "code": "trace_not_found",
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"thumbs": "sideways"}, "thumbs"),
        ({"thumbs": None}, "thumbs"),
        ({"trace_id": 7}, "trace_id"),
        ({"trace_id": "a" * 65}, "trace_id"),
        ({"corrected_text": "a" * 100_001}, "corrected_text"),
        ({"comment": ["a"]}, "comment"),
        ({"stars": 5}, "stars"),
    ],
)
def test_feedback_that_is_none(any_gateway: Gateway, fields: dict[str, Any], param: str) -> None:
    answer = judge(any_gateway, **{"trace_id": UNKNOWN, **fields})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_half_a_character_is_no_text(any_gateway: Gateway) -> None:
    trace_id = ask(any_gateway).headers[HEADER]
    body = f'{{"trace_id": "{trace_id}", "thumbs": "up", "comment": "\\ud800"}}'
    answer = any_gateway.http.post("/v1/feedback", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_answers_do_not_depend_on_the_store(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    gateway = serve(traces_dir=tmp_path / "file" / "traces")
    for _ in range(3):
        assert ask(gateway).status_code == 200
    deadline = time.monotonic() + 20
    while metric(gateway, "failed") < 3:
        assert time.monotonic() < deadline
    answer = judge(gateway, ask(gateway).headers[HEADER])
    assert answer.json()["error"]["code"] == "feedback_unavailable" if answer.status_code == 503 else "trace_not_found"


def test_two_gateways_share_a_store(serve: Serve) -> None:
    first, second = serve(), serve()
    ids = [ask(gateway).headers[HEADER] for gateway in (first, second) for _ in range(3)]
    assert {judged.trace.trace_id for judged in kept(first, 6)} == set(ids)
    assert judge(second, ids[0]).status_code == 200
    assert judge(first, ids[-1]).status_code == 200


def test_what_is_kept_is_still_there_after_a_restart(serve: Serve, gateway: Gateway) -> None:
    trace_id = ask(gateway).headers[HEADER]
    kept(gateway, 1)
    again = serve()
    assert judge(again, trace_id).status_code == 200
    assert metric(again, "kept") == 1


def test_the_command_shows_them(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    good, bad = (ask(gateway).headers[HEADER] for _ in range(2))
    judge(gateway, bad, thumbs="down", comment="too short")
    kept(gateway, 2)
    monkeypatch.setenv("LLMTWIN_TRACES_DIR", str(gateway.settings.traces))
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()
    request.addfinalizer(get_settings.cache_clear)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(cli.app, ["traces", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    assert good in run("ls")
    listed = run("ls", "--since", "5m", "--down")
    assert bad in listed
    assert good not in listed
    assert "no traces" in run("ls", "--up")
    assert "no traces" in run("ls", "--since", "2099-01-01")
    assert '"comment": "too short"' in run("show", bad)
    assert isinstance(CliRunner().invoke(cli.app, ["traces", "show", "nothing"]).exception, TraceError)
    for wrong in (["--since", "yesterday-ish"], ["--up", "--down"]):
        assert CliRunner().invoke(cli.app, ["traces", "ls", *wrong]).exit_code == 2
