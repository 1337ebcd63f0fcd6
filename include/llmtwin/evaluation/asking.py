"""Asking the models: the same texts and prompts for all of them, one model after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from llmtwin.datasets import Dataset, open_dataset
from llmtwin.errors import DatasetError
from llmtwin.evaluation.lineup import CANDIDATE, CONTROL, PRODUCTION, Lineup, load_model
from llmtwin.evaluation.material import WITH_PASSAGES, Prompt, held_out, require_held_out
from llmtwin.evaluation.perplexity import Surprise
from llmtwin.evaluation.result import Options
from llmtwin.evaluation.served import Answer, Model, Vllm
from llmtwin.settings import Settings

log = structlog.get_logger(__name__)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Asked:
    """What the models are asked.

    Attributes:
        dataset: The candidate's author's.
        texts: To be scored.
        other_texts: To be scored, of the control's author; none where the dataset is not here or all of it is known.
        prompts: To be answered, without passages.
        grounded: To be answered, with passages.
        options: How.
    """

    dataset: Dataset
    texts: list[Prompt]
    other_texts: list[Prompt]
    prompts: list[Prompt]
    grounded: list[Prompt]
    options: Options

    @classmethod
    def of(cls, settings: Settings, dataset: Dataset, lineup: Lineup, options: Options) -> Asked:
        """Choose from the test documents that no version was trained on; the same for the same seed.

        Raises:
            EvaluationError: There are none.
            DatasetError: The dataset is damaged.
        """
        known = lineup.known_to(CANDIDATE, PRODUCTION, CONTROL)
        texts = require_held_out(dataset, options.texts, options.seed, without=known)
        known_of_other = lineup.known_to(CANDIDATE, CONTROL)  # who is compared there
        other = _dataset_of_control(settings, lineup)
        return cls(
            dataset=dataset,
            texts=texts,
            other_texts=held_out(other, options.texts, options.seed, without=known_of_other) if other else [],
            prompts=texts[: options.answers],
            grounded=held_out(dataset, options.grounded_answers, options.seed, WITH_PASSAGES, without=known),
            options=options,
        )


@dataclass
class Given:
    """What the models gave, by role; None for what did not fit into the window.

    Attributes:
        models: As vLLM serves them.
        surprises: At each text.
        other_surprises: At each text of the control's author.
        answers: To each prompt without passages.
        grounded: To each prompt with passages.
    """

    models: dict[str, Model] = field(default_factory=dict)
    surprises: dict[str, list[Surprise | None]] = field(default_factory=dict)
    other_surprises: dict[str, list[Surprise | None]] = field(default_factory=dict)
    answers: dict[str, list[Answer | None]] = field(default_factory=dict)
    grounded: dict[str, list[Answer | None]] = field(default_factory=dict)


def ask(asked: Asked, lineup: Lineup, vllm: Vllm, settings: Settings) -> Given:
    """Ask one model after the other, for vLLM holds only a few adapters at once.

    Raises:
        RegistryError: An adapter's files are not what was registered.
        VllmError: vLLM is gone, or refuses.
    """
    given = Given()
    options = asked.options
    sampling = {"max_tokens": options.answer_tokens, "temperature": options.temperature, "top_p": options.top_p}
    for role, version in lineup.versions.items():
        model = load_model(role, version, settings, vllm)
        log.info("asking a model", role=role, model=model.name, texts=len(asked.texts), prompts=len(asked.prompts))
        given.models[role] = model
        given.surprises[role] = vllm.surprises(model, [(one.messages, one.text) for one in asked.texts])
        if role != PRODUCTION:
            theirs = [(one.messages, one.text) for one in asked.other_texts]
            given.other_surprises[role] = vllm.surprises(model, theirs)
        for prompts, answers in ((asked.prompts, given.answers), (asked.grounded, given.grounded)):
            answers[role] = vllm.answers(model, [one.messages for one in prompts], **sampling)
    return given


def answered_by_all(
    prompts: Sequence[Prompt], given: Mapping[str, Sequence[Value | None]]
) -> tuple[list[Prompt], dict[str, list[Value]]]:
    """Return the prompts for which every model has a value, with the values by model."""
    kept = [at for at in range(len(prompts)) if all(values[at] is not None for values in given.values())]
    found = {role: [value for at in kept if (value := values[at]) is not None] for role, values in given.items()}
    return [prompts[at] for at in kept], found


def _dataset_of_control(settings: Settings, lineup: Lineup) -> Dataset | None:
    lineage = lineup.control.lineage if lineup.control else None
    if lineage is None or lineage.dataset is None:
        return None
    try:
        return open_dataset(settings, lineage.dataset)
    except DatasetError:
        return None
