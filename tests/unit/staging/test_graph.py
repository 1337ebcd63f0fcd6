"""The graph of the real models: a change of it must show in review."""

from __future__ import annotations

from pathlib import Path

from syrupy.assertion import SnapshotAssertion

from llmtwin.staging import load_project
from llmtwin.staging.artifacts import manifest
from llmtwin.staging.contract import arrow_schema
from llmtwin.staging.docs import write_docs


def test_graph(snapshot: SnapshotAssertion) -> None:
    graph = manifest(load_project())
    assert {"parents": graph["parent_map"], "children": graph["child_map"]} == snapshot


def test_contracts(snapshot: SnapshotAssertion) -> None:
    assert {name: str(arrow_schema(node.spec)) for name, node in load_project().nodes.items()} == snapshot


def test_every_table_enforces_its_contract() -> None:
    assert all(node.spec.config.contract.enforced for node in load_project().models)


def test_the_page_names_every_table_and_test(tmp_path: Path) -> None:
    page = write_docs(load_project(), tmp_path).read_text()
    for text in ("stg_documents", "int_chunks", "fct_embeddings", "every_chunk_is_embedded", "positions_have_no_gap"):
        assert text in page
    assert (tmp_path / "manifest.json").exists()
