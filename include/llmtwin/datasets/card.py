"""The dataset card: what a reader needs to know, and what Hugging Face's `datasets` needs to load it.

Format: https://huggingface.co/docs/hub/datasets-cards and .../datasets-manual-configuration
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_ABOUT = {
    "instruction": "an instruction, answered by the author's own text",
    "rag": "some of the same once more, with passages before them, numbered as in serving",
    "question": "a question of a list, answered by the teacher from the author's passages",
}


def card(manifest: Mapping[str, Any]) -> str:
    """Return the card of a dataset as Markdown with YAML front matter."""
    import yaml

    front = {
        "pretty_name": f"{manifest['author'] or 'All authors'}, {manifest['version']}",
        "language": list(manifest["languages"]),
        "task_categories": ["text-generation"],
        "tags": ["llmtwin", "instruction-tuning"],
        "configs": list(_configs(manifest["files"])),
    }
    sections = [
        f"# {manifest['name']}@{manifest['version']}",
        f"What {manifest['author'] or 'all authors of the feature store'} wrote, as conversations to train a twin on. "
        "The documents are their author's; so are the answers of all rows but those of type `question`.",
        "## Rows",
        _rows(manifest["counts"]),
        "\n".join(f"- `{name}`: {about}" for name, about in _ABOUT.items()),
        "## Removed",
        _table(("of", "because", "removed"), _removed(manifest["removed"])),
        "## Sources",
        _table(("split", "documents", "from", "to"), _spans(manifest["documents"])),
        _table(("platform", "documents"), manifest["sources"].items()),
        "The split is by document and by time: the newest documents are the test, near-duplicates stay on one side, "
        "and no row of train shares a run of 8-grams over 50 tokens with a document of validation or test.",
        "## Made with",
        _table(("", ""), _made_with(manifest)),
    ]
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n" + "\n\n".join(sections) + "\n"


def _configs(files: Iterable[str]) -> Iterable[dict[str, Any]]:
    names = list(dict.fromkeys(file.partition("/")[0] for file in files))
    for name in names:
        splits = [file for file in files if file.startswith(f"{name}/")]
        yield {
            "config_name": name,
            "data_files": [{"split": file.split("/")[1].removesuffix(".parquet"), "path": file} for file in splits],
        }


def _rows(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    rows = [
        (config, split, type_, count)
        for config, splits in counts.items()
        for split, types in splits.items()
        for type_, count in types.items()
    ]
    return _table(("configuration", "split", "type", "rows"), rows)


def _removed(removed: Mapping[str, Mapping[str, int]]) -> Iterable[Sequence[object]]:
    return [(what, reason, count) for what, reasons in removed.items() for reason, count in reasons.items()]


def _spans(documents: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterable[Sequence[object]]:
    for split, found in documents.items():
        days = sorted(one["published_at"][:10] for one in found if one["published_at"])
        yield split, len(found), days[0] if days else "", days[-1] if days else ""


def _made_with(manifest: Mapping[str, Any]) -> Iterable[Sequence[object]]:
    teacher = manifest["teacher"]
    yield "tokenizer", manifest["tokenizer"]["model"]
    yield "teacher", teacher["model"] if teacher else "none: instructions by rule"
    if teacher:
        yield "tokens of the teacher", f"{teacher['prompt_tokens']} read, {teacher['completion_tokens']} written"
        yield "cost", teacher["cost"]
    yield "seed", manifest["options"]["seed"]
    yield "SHA-256", f"`{manifest['digest']}`"


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
