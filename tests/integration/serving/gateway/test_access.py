"""Keys, rates, and what is written to the log."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import openai
import pytest
from tests.integration.serving.gateway.conftest import HOME, Gateway, ScriptedVllm, Serve, free_port, wait_for

from llmtwin.keys import KeyFile
from llmtwin.settings import Settings, settings_environment

QUESTION = [{"role": "user", "content": "a question that is nobody's business"}]


def ask(own: Gateway, key: str) -> Any:
    return own.openai(key).chat.completions.create(model="base", messages=QUESTION)


def test_the_first_key_closes_the_door_and_the_last_one_does_not_open_it(own: Gateway, vllm: ScriptedVllm) -> None:
    keys = KeyFile(own.settings.gateway_keys)
    assert ask(own, "none").choices
    key = keys.add("ada")
    assert ask(own, key).choices
    for wrong in ("none", key[:-1], key + "x", "ä"):
        response = own.http.get("/v1/models", headers={"authorization": f"Bearer {wrong}".encode()})
        assert response.status_code == 401
    with pytest.raises(openai.AuthenticationError) as raised:
        ask(own, "wrong")
    assert (raised.value.code, raised.value.type) == ("invalid_api_key", "authentication_error")
    assert len(vllm.seen) == 2
    keys.revoke("ada")
    with pytest.raises(openai.AuthenticationError):
        ask(own, key)
    assert [own.http.get(path).status_code for path in ("/health", "/metrics")] == [200, 200]


def test_a_key_can_be_wanted_before_there_is_one(serve: Serve) -> None:
    with pytest.raises(openai.AuthenticationError):
        ask(serve(gateway_require_key=True), "none")


def test_a_damaged_file_of_keys_lets_nobody_in(own: Gateway) -> None:
    own.settings.gateway_keys.parent.mkdir(parents=True)
    own.settings.gateway_keys.write_text("{")
    response = own.http.get("/v1/models")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "keys_unavailable")


def test_a_file_of_keys_that_is_taken_away_does_not_open_the_door(own: Gateway) -> None:
    key = KeyFile(own.settings.gateway_keys).add("ada")
    assert ask(own, key).choices
    content = own.settings.gateway_keys.read_bytes()
    own.settings.gateway_keys.unlink()
    for _ in range(2):
        response = own.http.get("/v1/models", headers={"authorization": f"Bearer {key}"})
        assert (response.status_code, response.json()["error"]["code"]) == (503, "keys_unavailable")
    own.settings.gateway_keys.write_bytes(content)
    assert ask(own, key).choices


def test_without_keys_it_is_called_by_this_machines_names_only_wherever_it_listens(serve: Serve) -> None:
    own = serve(gateway_host="0.0.0.0")
    rebound = {"host": "evil.example"}
    assert own.http.get("/v1/models", headers=rebound).status_code == 403
    assert own.http.get("/v1/models").status_code == 200
    assert own.http.get("/health", headers=rebound).status_code == 200
    key = KeyFile(own.settings.gateway_keys).add("ada")
    assert own.http.get("/v1/models", headers=rebound | {"authorization": f"Bearer {key}"}).status_code == 200


def test_without_keys_it_is_called_by_the_names_of_the_settings_too(serve: Serve) -> None:
    own = serve(gateway_host="0.0.0.0", gateway_names="gateway, twin.internal")
    statuses = {
        name: own.http.get("/v1/models", headers={"host": name}).status_code
        for name in ("gateway:8080", "twin.internal", "evil.gateway", "localhost")
    }
    assert statuses == {"gateway:8080": 200, "twin.internal": 200, "evil.gateway": 403, "localhost": 200}


def test_rates_are_of_each_key(serve: Serve) -> None:
    own = serve(gateway_rate_limit="3/minute")
    keys = KeyFile(own.settings.gateway_keys)
    ada, bob = keys.add("ada"), keys.add("bob")
    answers = [own.http.get("/v1/models", headers={"authorization": f"Bearer {ada}"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0", "0"]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded"
    assert ask(own, bob).choices
    with pytest.raises(openai.RateLimitError):
        ask(own, ada)


def test_guessing_keys_is_limited_by_address(serve: Serve) -> None:
    own = serve(gateway_rate_limit="2/minute", gateway_require_key=True)
    statuses = [
        own.http.get("/v1/models", headers={"authorization": f"Bearer {n}", "x-forwarded-for": f"8.8.8.{n}"})
        for n in range(3)
    ]
    assert [answer.status_code for answer in statuses] == [401, 401, 429]


@pytest.mark.parametrize("told", [False, True])
def test_the_log_holds_neither_keys_nor_prompts_unless_asked(
    gateway_settings: Settings, vllm: ScriptedVllm, told: bool
) -> None:
    """The real program, with its real log."""
    settings = gateway_settings.model_copy(update={"gateway_port": free_port(), "gateway_log_prompts": told})
    key = KeyFile(settings.gateway_keys).add("ada")
    command = [sys.executable, "-m", "serving.gateway"]
    process = subprocess.Popen(
        command, cwd=HOME, env=settings_environment(settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        own = Gateway(f"http://127.0.0.1:{settings.gateway_port}", settings)
        wait_for(f"{own.url}/health")
        ask(own, key)
        list(own.openai(key).chat.completions.create(model="base", messages=QUESTION, stream=True))
    finally:
        process.terminate()
        output = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 0, output
    assert "/v1/chat/completions" in output
    assert key not in output
    assert ("nobody's business" in output) == told
    assert ("word word word" in output) == told


def test_a_port_that_is_taken_ends_the_program(own: Gateway) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving.gateway"],
        cwd=HOME,
        env=settings_environment(own.settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert str(own.settings.gateway_port) in done.stderr + done.stdout


def test_a_rate_that_is_none_ends_the_program(gateway_settings: Settings) -> None:
    settings = gateway_settings.model_copy(update={"gateway_rate_limit": "often"})
    done = subprocess.run(
        [sys.executable, "-m", "serving.gateway"],
        cwd=HOME,
        env=settings_environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "error: LLMTWIN_GATEWAY_RATE_LIMIT" in done.stderr
