"""A page that shows the graph: each table with its inputs, columns and tests."""

from __future__ import annotations

from html import escape
from pathlib import Path

from llmtwin.files import durable
from llmtwin.staging.artifacts import write_manifest
from llmtwin.staging.data_tests import test_queries
from llmtwin.staging.project import Model, Project

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1b1f24 }
nav { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: 1.5rem 0 }
nav a { border: 1px solid #b8c0cc; border-radius: .4rem; padding: .3rem .7rem; text-decoration: none; color: #0b5cad }
section { border-top: 1px solid #e1e5ea; padding-top: 1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } th { text-align: left; color: #57606a; font-weight: 600 }
td, th { padding: .25rem .8rem .25rem 0; vertical-align: top; border-bottom: 1px solid #eef1f4 }
code { font: 13px ui-monospace, monospace } .layer { color: #57606a }
"""


def write_docs(project: Project, folder: Path) -> Path:
    """Write ``index.html`` and ``manifest.json`` into a folder; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(project, folder)
    nodes = project.nodes.values()
    path = " → ".join(f'<a href="#{node.name}">{escape(node.name)}</a>' for node in nodes)
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>llmtwin staging</title>'
        f"<style>{_STYLE}</style><h1>Staging models</h1><nav>{path}</nav>{''.join(_section(node) for node in nodes)}"
    )
    target = folder / "index.html"
    with durable(target) as file:
        file.write(page.encode())
    return target


def _section(node: Model) -> str:
    inputs = ", ".join(f'<a href="#{name}">{escape(name)}</a>' for name in node.inputs) or "nothing: it is a source"
    rows = "".join(
        f"<tr><td><code>{escape(column.name)}</code><td><code>{escape(column.data_type)}</code>"
        f"<td>{escape(column.description)}<td>{escape(', '.join(c.name or c.type for c in column.constraints))}"
        for column in node.spec.columns
    )
    tests = "".join(f"<li><code>{escape(name)}</code>" for name, _ in test_queries(node.spec))
    return (
        f'<section id="{node.name}"><h2>{escape(node.name)} <small class="layer">{escape(node.layer)}</small></h2>'
        f"<p>{escape(node.spec.description)}<p>Reads {inputs}."
        f"<table><tr><th>column<th>type<th>meaning<th>row rules (else quarantine){rows}</table>"
        f"{'<h3>Table tests</h3><ul>' + tests + '</ul>' if tests else ''}</section>"
    )
