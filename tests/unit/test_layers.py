"""Imports run forward only, and nothing heavy or of Airflow at the wrong place."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "include" / "llmtwin"
LAYERS = [
    "errors", "files", "documents", "settings", "keys", "base_model", "sources", "warehouse", "events", "cdc",
    "staging", "features", "vectors", "retrieval", "prompt", "tracking", "registry", "traces", "datasets", "training",
    "evaluation", "promotion", "crawling", "sync", "local", "cli",
]  # fmt: skip
# Models are loaded by path when they run, as dbt's are, and may use every step up to the one that reads them.
MODELS = PACKAGE / "staging" / "models"
HEAVY = {
    "torch", "transformers", "sentence_transformers", "openvino", "duckdb", "pyarrow", "qdrant_client", "trl", "peft",
    "bitsandbytes", "accelerate", "datasets", "comet_ml", "huggingface_hub",
}  # fmt: skip


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "llmtwin" else {node.module}
            )
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str | None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return None if parts[0] == "__init__" else parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_forward_only(path: Path) -> None:
    own = layer_of(path)
    if own is None:
        return
    limit = LAYERS.index("vectors" if MODELS in path.parents else own)
    used = {name.split(".")[1] for name in imports(path) if name.startswith("llmtwin.")} - {"__version__"}
    assert not {name for name in used if LAYERS.index(name) > limit}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_library_imports_no_airflow(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] == "airflow"}


def test_importing_everything_imports_nothing_heavy() -> None:
    """What a DAG file or a command imports must be cheap; heavy libraries come with the work that needs them."""
    code = f"import sys, llmtwin.sync, llmtwin.crawling, llmtwin.cli\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []
