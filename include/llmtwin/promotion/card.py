"""The model card of a version: what a reader of the Hugging Face Hub must know, and nothing of who made it where."""

from __future__ import annotations

import re

from llmtwin.evaluation.result import Evaluation
from llmtwin.registry import Lineage, Version
from llmtwin.registry.version import is_same_model

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMET_KEY = re.compile(r"[A-Za-z0-9]{32,50}")


def public_base_model(version: Version, served: str) -> str:
    """Return the base model's hub id where one is known, else its bare name: never a folder of this machine.

    Args:
        version: Names the model that it was trained on.
        served: The model of the settings; its hub id counts when it is the same model.
    """
    names = [version.base_model, *([served] if is_same_model(version.base_model, served) else [])]
    found = next((name for name in names if _HUB_ID.fullmatch(name)), None)
    return found or version.base_model.rstrip("/").rpartition("/")[2]


def model_card(version: Version, evaluation: Evaluation | None, repository: str, tag: str, base_model: str) -> str:
    """Return the card as Markdown behind YAML. The same version and evaluation make the same card.

    Args:
        version: What is published.
        evaluation: Its figures, where it was evaluated.
        repository: Where it will be, ``name/repository``.
        tag: The git tag that it will have there.
        base_model: Hub id, or bare name.
    """
    import yaml

    about: dict[str, object] = {"library_name": "peft", "pipeline_tag": "text-generation", "tags": ["llmtwin", "lora"]}
    if _HUB_ID.fullmatch(base_model):
        about |= {"base_model": base_model, "base_model_relation": "adapter"}
    lineage = version.lineage or Lineage()
    figures = evaluation.metrics if evaluation else lineage.metrics
    if "candidate/perplexity" in figures:
        about["metrics"] = ["perplexity"]
    parts = [
        f"---\n{yaml.safe_dump(about, sort_keys=False)}---",
        f"# {repository.rpartition('/')[2]}, version {version.version}",
        f"A LoRA adapter of rank {version.rank} on `{base_model}` that writes in one author's voice.",
        "## Where it comes from\n\n" + _table(("", ""), _origin(version, lineage)),
        _figures(evaluation, figures),
        _USE.format(base_model=base_model, repository=repository, tag=tag, rank=version.rank),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _origin(version: Version, lineage: Lineage) -> list[tuple[str, str]]:
    # An offline experiment may be the path of an archive, which is nobody's business.
    experiment = lineage.experiment if _COMET_KEY.fullmatch(lineage.experiment or "") else None
    known = {
        "dataset": lineage.dataset,
        "dataset's digest": lineage.dataset_digest,
        "recipe": lineage.recipe,
        "recipe's digest": lineage.recipe_digest,
        "code": lineage.code_revision,
        "base model's revision": lineage.base_model_revision,
        "run": lineage.run_id,
        "experiment at Comet": experiment,
        "SHA-256 of the weights": version.digest,
    }
    return [(name, f"`{value}`") for name, value in known.items() if value]


def _figures(evaluation: Evaluation | None, figures: dict[str, float]) -> str:
    if not figures:
        return ""
    ends = evaluation.intervals if evaluation else {}
    rows = [
        (f"`{name}`", f"{value:.4g}", f"{ends[name][0]:.4g} to {ends[name][1]:.4g}" if name in ends else "")
        for name, value in sorted(figures.items())
    ]
    said = "Of its evaluation on texts that it has not seen:" if evaluation else "Of its training:"
    return f"## Figures\n\n{said}\n\n" + _table(("figure", "value", "95 % interval"), rows)


def _table(heading: tuple[str, ...], rows: list[tuple[str, str]] | list[tuple[str, str, str]]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_USE = """\
## Use

With PEFT:

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{base_model}")
model = AutoModelForCausalLM.from_pretrained("{base_model}")
model = PeftModel.from_pretrained(model, "{repository}", revision="{tag}")
```

With vLLM:

```sh
hf download {repository} --revision {tag} --local-dir twin
vllm serve {base_model} --enable-lora --max-lora-rank {rank} --lora-modules twin=./twin
```"""
