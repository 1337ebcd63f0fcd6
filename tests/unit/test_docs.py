"""What the documentation names exists: files, `make` targets, `llmtwin` commands and options, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer.main
from pydantic import AliasChoices

from llmtwin.cli import app
from llmtwin.settings import Settings

HOME = Path(__file__).resolve().parents[2]
PAGES = sorted([*HOME.glob("*.md"), *(HOME / "docs").rglob("*.md")])
# Their docstrings are documentation too: Airflow's UI shows them as runbooks.
RUNBOOKS = sorted((HOME / "dags").glob("*.py"))

_FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_TARGET = re.compile(r"^([a-z-]+):(?!=)", re.MULTILINE)


def code(text: str) -> Iterator[str]:
    """Yield every line of code a text shows: those of its shell blocks, and its inline code."""
    for language, block in _FENCED.findall(text):
        if language == "sh":
            yield from (line for line in block.splitlines() if line.strip())
    yield from _INLINE.findall(_FENCED.sub("", text))


def invocations(program: str, text: str) -> Iterator[list[str]]:
    """Yield the arguments of every call of a program that a text shows."""
    for line in code(text):
        words = line.partition(" #")[0].split()
        if words[:3] == ["docker", "compose", "exec"]:
            words = words[4:]  # behind the service's name
        if words and words[0] in (program, f".venv/bin/{program}") and words[1:] != ["…"]:
            yield words[1:]


def anchors(page: Path) -> set[str]:
    headings = _HEADING.findall(_FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def relative(page: Path) -> str:
    return str(page.relative_to(HOME))


def targets(page: Path) -> set[str]:
    calls = invocations("make", page.read_text())
    return {word for words in calls for word in words if re.fullmatch(r"[a-z][a-z-]*", word)}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    for link in _LINK.findall(_FENCED.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / unquote(path)).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(HOME), f"{link} leads out of the repository"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", [*PAGES, *RUNBOOKS], ids=relative)
def test_make_targets_exist(page: Path) -> None:
    existing = set(_TARGET.findall((HOME / "Makefile").read_text()))
    assert targets(page) <= existing


@pytest.mark.parametrize("page", [*PAGES, *RUNBOOKS], ids=relative)
def test_llmtwin_commands_and_options_exist(page: Path) -> None:
    for words in invocations("llmtwin", page.read_text()):
        command = typer.main.get_command(app)
        rest = list(words)
        while rest and hasattr(command, "commands"):
            name = rest.pop(0)
            assert name in command.commands, f"llmtwin {' '.join(words)}"
            command = command.commands[name]
        options = [(*parameter.opts, *parameter.secondary_opts) for parameter in command.params]
        known = {"--help", "-h"}.union(*options)
        assert {word for word in rest if word.startswith("-")} <= known, f"llmtwin {' '.join(words)}"


@pytest.mark.parametrize("page", [*PAGES, *RUNBOOKS], ids=relative)
def test_variables_are_settings(page: Path) -> None:
    known = {f"LLMTWIN_{field.upper()}" for field in Settings.model_fields}
    assert set(re.findall(r"LLMTWIN_[A-Z0-9_]+", page.read_text())) <= known


@pytest.mark.parametrize("page", [*PAGES, *RUNBOOKS], ids=relative)
def test_plain_names_of_servers_are_settings(page: Path) -> None:
    aliases = [field.validation_alias for field in Settings.model_fields.values()]
    known = {str(choice) for alias in aliases if isinstance(alias, AliasChoices) for choice in alias.choices}
    text = re.sub(r"LLMTWIN_\w+", "", page.read_text())
    assert set(re.findall(r"\b(?:MONGODB|RABBITMQ|QDRANT)_[A-Z_]+", text)) <= known


def test_every_command_is_in_the_readme() -> None:
    shown = {" ".join(words[:2]) for words in invocations("llmtwin", (HOME / "README.md").read_text())}
    for name, command in typer.main.get_command(app).commands.items():
        for call in [f"{name} {inner}" for inner in getattr(command, "commands", ())] or [name]:
            assert any(f"{one} ".startswith(f"{call} ") for one in shown), f"llmtwin {call} is not in README.md"


def test_every_target_that_make_lists_is_in_the_readme_or_the_guide() -> None:
    listed = set(re.findall(r"^([a-z-]+):.*## ", (HOME / "Makefile").read_text(), re.MULTILINE))
    assert listed - targets(HOME / "README.md") - targets(HOME / "CONTRIBUTING.md") == set()


def test_decisions_are_numbered_without_gap_and_have_their_three_parts() -> None:
    decisions = sorted((HOME / "docs" / "adr").glob("*.md"))
    assert [page.name[:4] for page in decisions] == [f"{number:04d}" for number in range(1, len(decisions) + 1)]
    for page in decisions:
        text = page.read_text()
        assert text.startswith(f"# {page.name[:4]}: ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
