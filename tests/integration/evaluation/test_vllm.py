"""The numbers of the real vLLM against those of transformers and peft."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.styles import ANA, BEN, write_as

from llmtwin.evaluation.journal import Journal
from llmtwin.evaluation.lineup import load_model
from llmtwin.evaluation.served import Vllm
from llmtwin.registry import Registry
from llmtwin.settings import Settings

pytestmark = pytest.mark.llm

# bfloat16 in vLLM, float32 here: a text of 100 tokens differs by up to 0.15 % in nats; see docs/evaluation.md.
CLOSE = 0.01
ASK = [{"role": "system", "content": "You are Ana."}, {"role": "user", "content": "What do you say?"}]


def test_perplexity_is_that_of_transformers_for_the_base_model_and_for_an_adapter(
    vllm_server: Settings, tmp_path: Path
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoTokenizer, LlamaForCausalLM

    folder = vllm_server.models / "SmolLM2-135M-Instruct"
    torch.manual_seed(0)
    base = LlamaForCausalLM.from_pretrained(folder)
    config = LoraConfig(r=8, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    tuned = get_peft_model(base, config)
    for name, weights in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.3)
    tuned.save_pretrained(tmp_path / "adapter")
    registry = Registry(vllm_server.registry)
    version = registry.register(tmp_path / "adapter", vllm_server.base_model, 16)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [write_as(author, 60, seed) for author in (ANA, BEN) for seed in range(3)]

    def nats(text: str) -> tuple[int, float]:
        before = tokenizer.apply_chat_template(ASK, add_generation_prompt=True, return_dict=False)
        answered = [*ASK, {"role": "assistant", "content": text}]
        whole = tokenizer.apply_chat_template(answered, continue_final_message=True, return_dict=False)
        with torch.no_grad():
            logs = torch.log_softmax(tuned(torch.tensor([whole])).logits[0].float(), -1)
        places = range(len(before), len(whole))
        return len(places), -math.fsum(float(logs[at - 1, whole[at]]) for at in places)

    journal = Journal(tmp_path / "answers.jsonl")
    with Vllm(vllm_server, journal) as vllm:
        adapted = vllm.surprises(load_model("candidate", version, vllm_server, vllm), [(ASK, one) for one in texts])
        plain = vllm.surprises(load_model("base", None, vllm_server, vllm), [(ASK, one) for one in texts])
    journal.close()
    expected = [nats(text) for text in texts]
    with tuned.disable_adapter():
        expected_plain = [nats(text) for text in texts]
    assert [(one.tokens, one.nats) for one in adapted if one] == [
        (tokens, pytest.approx(value, rel=CLOSE)) for tokens, value in expected
    ]
    assert [(one.tokens, one.nats) for one in plain if one] == [
        (tokens, pytest.approx(value, rel=CLOSE)) for tokens, value in expected_plain
    ]
    assert abs(math.fsum(value for _, value in expected) - math.fsum(value for _, value in expected_plain)) > 10


def test_a_prompt_that_fills_the_window_is_left_out_and_a_long_text_is_cut(
    vllm_server: Settings, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "answers.jsonl")
    with Vllm(vllm_server, journal) as vllm:
        base = load_model("base", None, vllm_server, vllm)
        endless = [{"role": "user", "content": "word " * 2 * vllm.window}]
        assert vllm.surprises(base, [(endless, "text")]) == [None]
        assert vllm.answers(base, [endless], max_tokens=8) == [None]
        (cut,) = vllm.surprises(base, [(ASK, "word " * 2 * vllm.window)])
        assert cut is not None
        assert vllm.window - 60 < cut.tokens < vllm.window
        (first,) = vllm.answers(base, [ASK], max_tokens=8, temperature=0.7, top_p=0.95)
        assert vllm.answers(base, [ASK], max_tokens=8, temperature=0.7, top_p=0.95) == [first]
        assert first is not None
        assert (first.tokens, first.cut) == (8, True)
    journal.close()
