"""What ``twin`` means is changed while it serves, and stays as it is when anything goes wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.conftest import HOME
from tests.integration.promotion.conftest import Gateway, ScriptedVllm, Train

from llmtwin.errors import GatewayError, LlmtwinError, PromotionError, RegistryError, VllmError
from llmtwin.local.ports import free_port
from llmtwin.promotion import choose, promote, reject, rollback, smoke_test
from llmtwin.registry import Registry, Status
from llmtwin.settings import settings_environment

WEIGHTS = "adapter_model.safetensors"


def twin(gateway: Gateway) -> str:
    with gateway.http as client:
        return str(client.get("/v1/models/twin").json()["root"])


def statuses(gateway: Gateway) -> dict[str, str]:
    return {version.version: str(version.status) for version in Registry(gateway.settings.registry).versions()}


def test_a_candidate_is_loaded_tried_and_served(own: Gateway, vllm: ScriptedVllm, train: Train) -> None:
    vllm.script(text="heron")
    first = promote(train(), own.settings)
    assert (first.before, first.now, first.notes) == (None, "1", ())
    assert first.answer == "heron heron heron heron heron"
    [asked] = vllm.seen
    assert asked["body"]["model"] == "twin@1"
    assert twin(own) == "twin@1"
    second = promote(train(), own.settings)
    assert (second.before, second.now) == ("1", "2")
    assert statuses(own) == {"1": "archived", "2": "production"}


def test_to_promote_twice_does_no_harm(own: Gateway, vllm: ScriptedVllm, train: Train) -> None:
    promote(train(), own.settings)
    asked = len(vllm.seen)
    assert promote("1", own.settings).now == "1"
    assert len(vllm.seen) == asked
    assert rollback(own.settings).now is None


def test_an_accepted_version_and_one_that_was_served_before_can_be_promoted(own: Gateway, train: Train) -> None:
    Registry(own.settings.registry).accept(train())
    promote("1", own.settings)
    promote(train(), own.settings)
    assert promote("1", own.settings).before == "2"
    assert statuses(own) == {"1": "production", "2": "archived"}


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ({"tokens": 0}, PromotionError, "its answer holds no word"),
        ({"text": "!!!!"}, PromotionError, "its answer holds no word: '!!!! !!!!"),
        ({"status": 500}, GatewayError, "HTTP 502"),
        ({"status": 400}, GatewayError, "HTTP 400"),
    ],
)
def test_a_version_that_gives_no_answer_is_not_promoted(
    own: Gateway, vllm: ScriptedVllm, train: Train, script: dict[str, object], error: type[LlmtwinError], words: str
) -> None:
    promote(train(), own.settings)
    vllm.script(**script)
    with pytest.raises(error, match=words):
        promote(train(), own.settings)
    assert twin(own) == "twin@1"
    assert statuses(own) == {"1": "production", "2": "candidate"}
    vllm.script()
    assert promote("2", own.settings).before == "1"


def test_an_adapter_for_another_base_model_or_of_too_high_a_rank_is_not_promoted(own: Gateway, train: Train) -> None:
    train(rank=64)
    with pytest.raises(RegistryError, match=r"its rank is 64, and 16 is the most .* LLMTWIN_VLLM_MAX_LORA_RANK"):
        promote("1", own.settings)
    other = own.settings.model_copy(update={"base_model": "meta-llama/Llama-3.1-8B-Instruct", "vllm_max_lora_rank": 64})
    with pytest.raises(RegistryError, match=r"it was trained on .*SmolLM2-135M-Instruct.*LLMTWIN_BASE_MODEL"):
        promote("1", other)
    assert twin(own) == "base"


@pytest.mark.parametrize("damage", ["exchanged", "cut off", "missing"])
def test_a_damaged_adapter_is_neither_promoted_nor_rolled_back_to(own: Gateway, train: Train, damage: str) -> None:
    for _ in range(2):
        promote(train(), own.settings)
    train()
    registry = Registry(own.settings.registry)
    for version in ("1", "3"):
        file = registry.folder_of(version) / WEIGHTS
        content = file.read_bytes()
        file.chmod(0o644)
        if damage == "missing":
            file.unlink()
        else:
            flipped = content[:-1] + bytes([content[-1] ^ 1])
            file.write_bytes(flipped if damage == "exchanged" else content[: len(content) // 2])
    with pytest.raises(RegistryError):
        promote("3", own.settings)
    with pytest.raises(RegistryError):
        rollback(own.settings)
    assert twin(own) == "twin@2"


def test_while_vllm_is_down_nothing_is_promoted(own: Gateway, train: Train) -> None:
    down = own.settings.model_copy(update={"vllm_url": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(VllmError, match="llmtwin up --with-llm"):
        promote(train(), down)
    assert statuses(own) == {"1": "candidate"}


def test_while_the_gateway_is_down_nothing_is_promoted(own: Gateway, train: Train) -> None:
    down = own.settings.model_copy(update={"gateway_url": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(GatewayError, match="llmtwin up --with-llm"):
        promote(train(), down)
    assert statuses(own) == {"1": "candidate"}


def test_what_is_no_gateway_is_an_error(own: Gateway, vllm: ScriptedVllm, train: Train) -> None:
    """vLLM itself speaks the same API, but cites nothing."""
    wrong = own.settings.model_copy(update={"gateway_url": vllm.url})
    with pytest.raises(PromotionError, match="without citations"):
        promote(train(), wrong)
    with pytest.raises(GatewayError, match="HTTP 404"):
        smoke_test("twin@7", own.settings)
    assert statuses(own) == {"1": "candidate"}


def test_one_of_two_promotions_at_once_wins_and_the_other_is_told(
    own: Gateway, vllm: ScriptedVllm, train: Train
) -> None:
    versions = [train(), train()]
    vllm.script(delay=0.5)
    outcomes: dict[str, object] = {}

    def go(version: str) -> None:
        try:
            outcomes[version] = promote(version, own.settings)
        except RegistryError as error:
            outcomes[version] = error

    threads = [threading.Thread(target=go, args=[version]) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [loser] = [version for version, outcome in outcomes.items() if isinstance(outcome, RegistryError)]
    assert "in production by now, and not none: evaluate and decide again" in str(outcomes[loser])
    [winner] = {"1", "2"} - {loser}
    assert statuses(own) == {winner: "production", loser: "accepted"}


def test_a_decision_over_another_version_is_no_decision(own: Gateway, vllm: ScriptedVllm, train: Train) -> None:
    for _ in range(2):
        promote(train(), own.settings)
    train()
    asked = len(vllm.seen)
    for over in ("1", None):
        with pytest.raises(RegistryError, match="version 2 is in production by now"):
            promote("3", own.settings, over=over)
    assert len(vllm.seen) == asked
    assert promote("3", own.settings, over="2").now == "3"


KILLED = {
    "before it is loaded": {"load_delay": 30},
    "while it is tried": {"delay": 30},
}


@pytest.mark.parametrize("moment", KILLED)
def test_a_promotion_that_is_killed_leaves_production_and_can_be_run_again(
    own: Gateway, vllm: ScriptedVllm, train: Train, moment: str
) -> None:
    promote(train(), own.settings)
    vllm.script(**KILLED[moment])
    code = (
        "from llmtwin.promotion import promote; from llmtwin.settings import get_settings; promote('2', get_settings())"
    )
    train()
    process = subprocess.Popen([sys.executable, "-c", code], env=settings_environment(own.settings), cwd=HOME)
    vllm.wait_until(lambda seen: bool(seen))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert twin(own) == "twin@1"
    vllm.script()
    assert promote("2", own.settings).before == "1"


def test_rollback_goes_back_at_once_even_when_vllm_has_lost_the_adapter(
    own: Gateway, vllm: ScriptedVllm, train: Train
) -> None:
    for _ in range(2):
        promote(train(), own.settings)
    vllm.script()  # which forgets adapters, as a restart does
    back = rollback(own.settings)
    assert (back.before, back.now, back.notes) == ("2", "1", ())
    assert "twin@1" in vllm.loaded
    question = {"model": "twin", "messages": [{"role": "user", "content": "Who are you?"}]}
    with own.http as client:
        assert client.post("/v1/chat/completions", json=question).json()["model"] == "twin@1"
    assert Registry(own.settings.registry).get("2").reason == "rolled back to version 1"


def test_rollback_from_the_first_version_leads_to_the_base_model(own: Gateway, train: Train) -> None:
    promote(train(), own.settings)
    assert rollback(own.settings).now is None
    assert twin(own) == "base"
    with pytest.raises(RegistryError, match="nothing to roll back from"):
        rollback(own.settings)


def test_while_vllm_is_down_rollback_switches_all_the_same_and_says_so(own: Gateway, train: Train) -> None:
    for _ in range(2):
        promote(train(), own.settings)
    down = own.settings.model_copy(update={"vllm_url": f"http://127.0.0.1:{free_port()}"})
    back = rollback(down)
    assert back.now == "1"
    assert "the gateway loads version 1 when vLLM is back" in back.notes[0]
    assert twin(own) == "twin@1"


def test_rollback_says_when_the_gateway_does_not_follow(own: Gateway, train: Train, tmp_path: Path) -> None:
    promote(train(), own.settings)
    down = own.settings.model_copy(update={"gateway_url": f"http://127.0.0.1:{free_port()}"})
    assert "the gateway does not answer" in rollback(down).notes[0]


def test_a_rejected_version_is_archived_with_its_reason_and_cannot_be_promoted(own: Gateway, train: Train) -> None:
    assert reject(train(), "it sounds like an advertisement", own.settings).status is Status.ARCHIVED
    assert reject("1", "another reason, too late", own.settings).reason == "it sounds like an advertisement"
    with pytest.raises(RegistryError, match=r"was rejected \(it sounds like an advertisement\)"):
        promote("1", own.settings)
    promote(train(), own.settings)
    with pytest.raises(RegistryError, match="production and cannot become archived"):
        reject("2", "too late", own.settings)


def test_the_newest_candidate_is_chosen_unless_one_is_named(own: Gateway, train: Train) -> None:
    with pytest.raises(RegistryError, match="there is no candidate in the registry"):
        choose(None, own.settings)
    for _ in range(3):
        train()
        time.sleep(0.001)
    reject("3", "so", own.settings)
    assert choose(None, own.settings).version == "2"
    assert choose("1", own.settings).version == "1"
    with pytest.raises(RegistryError, match="no version '9'"):
        choose("9", own.settings)
