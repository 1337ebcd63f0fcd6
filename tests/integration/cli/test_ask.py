"""`llmtwin ask` before a real gateway, a scripted vLLM, and the real Qdrant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.documents import article, source_file
from tests.integration.retrieval.conftest import index
from tests.integration.serving.gateway.conftest import (
    Gateway,
    ScriptedVllm,
    Serve,
    gateway_settings,
    model_folder,
    scripted_server,
    serve,
    served,
    shared_gateway,
    shared_settings,
    vllm,
)
from tests.integration.sources.conftest import WebServer, web

from llmtwin import vectors
from llmtwin.keys import KeyFile
from llmtwin.local.ports import free_port
from llmtwin.settings import Settings

__all__ = [
    "gateway_settings", "model_folder", "scripted_server", "serve", "shared_gateway", "shared_settings", "vllm", "web",
]  # fmt: skip

pytestmark = pytest.mark.stack

COMMAND = [sys.executable, "-m", "llmtwin.cli", "ask"]
TITLE = "Why \x1b]0;renamed\x07queues :warning: [bold]keep order"


def environment(url: str, **more: str) -> dict[str, str]:
    """Variables of a user whose gateway is there."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("LLMTWIN_")}
    return own | {"LLMTWIN_GATEWAY_URL": url, "COLUMNS": "100", "PYTHONUNBUFFERED": "1"} | more


def llmtwin_ask(url: str, *arguments: str | bytes, **more: str) -> subprocess.CompletedProcess[str]:
    """The command as users run it."""
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(url, **more), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def gateway(shared_gateway: Gateway, vllm: ScriptedVllm) -> Gateway:
    """A gateway without Qdrant."""
    return shared_gateway


@pytest.fixture(scope="module")
def shared_filled(shared_settings: Settings, qdrant_url: str) -> Iterator[Gateway]:
    """A gateway with something to cite."""
    settings = shared_settings.model_copy(update={"qdrant_url": qdrant_url, "gateway_port": free_port()})
    with vectors.connect(settings) as client:
        for collection in client.get_collections().collections:
            client.delete_collection(collection.name)
    index(settings, article(content="A queue keeps the order of what was put into it.", title=TITLE), source_file())
    with served(settings) as running:
        yield running


@pytest.fixture
def filled(shared_filled: Gateway, vllm: ScriptedVllm) -> Gateway:
    """A gateway with something to cite, before a vLLM with its default script."""
    return shared_filled


def test_the_answer_and_what_it_rests_on(filled: Gateway, vllm: ScriptedVllm) -> None:
    vllm.script(text="Because [1] of :order:", tokens=1)
    asked = llmtwin_ask(filled.url, "Why do queues keep order?")
    assert asked.returncode == 0, asked.stderr
    answer, *sources = asked.stdout.splitlines()
    assert answer == "Because [1] of :order:"
    shown = " ".join(" ".join(sources).split())
    assert "[1] Why ]0;renamedqueues :warning: [bold]keep order https://example.org/articles/0" in shown
    assert "[2] file_0.py, lines 1–2" in shown
    assert "\x1b" not in asked.stdout


def test_where_to_look_can_be_chosen(filled: Gateway, vllm: ScriptedVllm) -> None:
    asked = llmtwin_ask(filled.url, "queues?", "--kind", "repository", "--author", "Ana Núñez", "--max-tokens", "7")
    assert "file_0.py" in asked.stdout
    assert "articles/0" not in asked.stdout
    assert vllm.seen[-1]["body"]["max_tokens"] == 7
    assert "post" in llmtwin_ask(filled.url, "queues?", "--kind", "song").stderr
    assert "file_0.py" not in llmtwin_ask(filled.url, "queues?", "--no-rag").stdout


def test_it_is_shown_while_it_is_written_and_ctrl_c_ends_the_work(gateway: Gateway, vllm: ScriptedVllm) -> None:
    vllm.script(tokens=10_000, interval=0.02, text="a line\n")
    with asking(gateway.url) as command:
        assert command.stdout is not None
        assert [command.stdout.readline() for _ in range(3)] == ["a line\n", " a line\n", " a line\n"]
        assert vllm.seen[-1]["ended"] is None
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=60)
    assert command.returncode == 130
    assert "Traceback" not in errors
    seen = vllm.wait_until(lambda seen: seen[-1]["ended"] is not None)
    assert seen[-1]["ended"] == "cancelled"


def asking(url: str) -> subprocess.Popen[str]:
    """The command while it runs."""
    return subprocess.Popen(
        [*COMMAND, "Why?"],
        env=environment(url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in its background has them, and what they start, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_what_could_not_be_done_is_said(gateway: Gateway) -> None:
    asked = llmtwin_ask(gateway.url, "Why?")
    assert asked.stdout.startswith("word word word word word\nnote: the feature store cannot be searched now")


def test_a_long_line_stays_one(gateway: Gateway, vllm: ScriptedVllm) -> None:
    vllm.script(tokens=3, text="much " * 60 + "\x1b[2J\x9b2J\tend")
    asked = llmtwin_ask(gateway.url, "Why?", "--no-rag")
    assert asked.stdout == " ".join(["much " * 60 + "[2J2J\tend"] * 3) + "\n"


def test_bytes_that_are_no_text_are_asked_all_the_same(gateway: Gateway, vllm: ScriptedVllm) -> None:
    assert llmtwin_ask(gateway.url, b"caf\xe9?", "--no-rag").returncode == 0
    assert vllm.seen[-1]["body"]["messages"][0]["content"] == "caf�?"


def test_no_gateway(vllm: ScriptedVllm) -> None:
    asked = llmtwin_ask(f"http://127.0.0.1:{free_port()}", "Why?")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert asked.stderr.startswith("error: no answer from the gateway")
    assert "llmtwin up --with-llm" in asked.stderr


@pytest.mark.parametrize("url", ["http://[", "ftp://127.0.0.1", "nowhere"])
def test_an_address_that_is_none(url: str) -> None:
    asked = llmtwin_ask(url, "Why?")
    assert asked.returncode == 1
    assert asked.stderr.startswith("error: ")
    assert "Traceback" not in asked.stderr


def test_something_else_where_the_gateway_should_be(web: WebServer) -> None:
    web.serve("/v1/chat/completions", "<html>welcome</html>")
    asked = llmtwin_ask(web.url, "Why?")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert asked.stderr == f"error: what answers at {web.url} is no gateway: see LLMTWIN_GATEWAY_URL\n"


def test_keys(serve: Serve) -> None:
    own = serve()
    key = KeyFile(own.settings.gateway_keys).add("ada")
    assert llmtwin_ask(own.url, "Why?", "--no-rag", LLMTWIN_GATEWAY_API_KEY=key).returncode == 0
    for wrong in ({}, {"LLMTWIN_GATEWAY_API_KEY": "ä wrong"}):
        asked = llmtwin_ask(own.url, "Why?", **wrong)
        assert asked.returncode == 1
        assert "LLMTWIN_GATEWAY_API_KEY" in asked.stderr


def test_a_model_that_is_none(gateway: Gateway) -> None:
    asked = llmtwin_ask(gateway.url, "Why?", "--model", "twin@99")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "there is no model 'twin@99'" in asked.stderr


def test_an_answer_that_breaks_off(gateway: Gateway, vllm: ScriptedVllm) -> None:
    vllm.script(tokens=10, cut_after=3)
    asked = llmtwin_ask(gateway.url, "Why?", "--no-rag")
    assert asked.returncode == 1
    assert asked.stdout.startswith("word word word")
    assert "the answer broke off: the model broke off" in asked.stderr
