"""The graph of models, read from ``models/``: a yml in dbt's words beside a py with the function.

A model's inputs are the names of its function's parameters, as a dbt model's are its ``ref()`` calls; the parameter
``context`` is not an input.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llmtwin.errors import ModelError
from llmtwin.staging.model import ModelOutput

MODELS = Path(__file__).parent / "models"
DataTest = str | dict[str, dict[str, Any]]


class _Yaml(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Constraint(_Yaml):
    """A rule each row must keep; a row that breaks it goes to quarantine."""

    type: str = Field(pattern="^(not_null|check)$")
    expression: str | None = Field(default=None, description="SQL that is true for a good row")
    name: str | None = None


class Column(_Yaml):
    """A column of a table."""

    name: str
    description: str
    data_type: str
    constraints: list[Constraint] = []
    data_tests: list[DataTest] = []


class ContractConfig(_Yaml):
    """Whether the table must have exactly the declared columns and types."""

    enforced: bool = True


class Config(_Yaml):
    """dbt's ``config`` block, as far as it applies."""

    contract: ContractConfig = ContractConfig()
    tags: list[str] = []


class TableSpec(_Yaml):
    """A source's or model's entry in a yml file."""

    name: str
    description: str
    config: Config = Config()
    columns: list[Column]
    constraints: list[Constraint] = []
    data_tests: list[DataTest] = []

    @model_validator(mode="after")
    def _description_names_the_grain(self) -> TableSpec:
        if "one row per " not in self.description.lower():
            raise ValueError('a description must end with "one row per …"')
        return self


@dataclass(frozen=True)
class Model:
    """A node of the graph."""

    spec: TableSpec
    layer: str
    inputs: tuple[str, ...]
    function: Callable[..., ModelOutput] | None
    """None for a source."""

    @property
    def name(self) -> str:
        """The table's name."""
        return self.spec.name

    @property
    def resource_type(self) -> str:
        """``source`` or ``model``."""
        return "model" if self.function else "source"

    @property
    def unique_id(self) -> str:
        """dbt's spelling: ``<resource type>.llmtwin.<name>``."""
        return f"{self.resource_type}.llmtwin.{self.name}"


@dataclass(frozen=True)
class Project:
    """All nodes, parents before children."""

    nodes: dict[str, Model]

    @property
    def models(self) -> list[Model]:
        """The nodes that are built, in order."""
        return [node for node in self.nodes.values() if node.function]

    def children(self, name: str) -> list[str]:
        """Names of the nodes that read this one."""
        return [node.name for node in self.nodes.values() if name in node.inputs]

    def select(self, selection: str | None) -> list[Model]:
        """Return the models that dbt's selection syntax names, in build order.

        A name, a layer (``staging``), ``+name`` with all before it, ``name+`` with all after it; several, separated by
        spaces, add up. None selects all.

        Raises:
            ModelError: A part names nothing.
        """
        if selection is None:
            return self.models
        chosen: set[str] = set()
        for part in selection.split():
            name = part.strip("+")
            roots = {node.name for node in self.nodes.values() if name in (node.name, node.layer)}
            if not roots:
                raise ModelError(f"--select {part!r} names no model; there are: {', '.join(self.nodes)}")
            chosen |= roots
            if part.startswith("+"):
                chosen |= self._reach(roots, lambda node: self.nodes[node].inputs)
            if part.endswith("+"):
                chosen |= self._reach(roots, self.children)
        return [model for model in self.models if model.name in chosen]

    @staticmethod
    def _reach(roots: Iterable[str], step: Callable[[str], Iterable[str]]) -> set[str]:
        reached: set[str] = set()
        todo = list(roots)
        while todo:
            for name in step(todo.pop()):
                if name not in reached:
                    reached.add(name)
                    todo.append(name)
        return reached


@cache
def load_project(folder: Path = MODELS) -> Project:
    """Read all models under a folder.

    Raises:
        ModelError: A file is missing or cannot be read, an input does not exist, or models depend on each other in a
            circle.
    """
    nodes: dict[str, Model] = {}
    for path in sorted(folder.rglob("*.yml")):
        for node in _read(path):
            if node.name in nodes:
                raise ModelError(f"{path}: {node.name} is declared twice")
            nodes[node.name] = node
    for node in nodes.values():
        for name in node.inputs:
            if name not in nodes:
                raise ModelError(f"model {node.name} reads {name}, which does not exist")
    try:
        order = list(TopologicalSorter({name: node.inputs for name, node in nodes.items()}).static_order())
    except CycleError as error:
        raise ModelError(f"models read each other in a circle: {' → '.join(error.args[1])}") from error
    return Project({name: nodes[name] for name in order})


def _read(path: Path) -> list[Model]:
    layer = path.parent.name
    try:
        document = yaml.safe_load(path.read_text())
        sources = [TableSpec.model_validate(entry) for entry in document.get("sources", [])]
        models = [TableSpec.model_validate(entry) for entry in document.get("models", [])]
    except (yaml.YAMLError, ValidationError, AttributeError) as error:
        raise ModelError(f"{path}: {error}") from error
    nodes = [Model(spec, layer, (), None) for spec in sources]
    for spec in models:
        function = _load_function(path.with_name(f"{spec.name}.py"))
        inputs = tuple(name for name in inspect.signature(function).parameters if name != "context")
        nodes.append(Model(spec, layer, inputs, function))
    return nodes


def _load_function(path: Path) -> Callable[..., ModelOutput]:
    if not path.exists():
        raise ModelError(f"{path} is missing: it must define `model(...)`")
    spec = importlib.util.spec_from_file_location(f"llmtwin.staging.models.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, "model", None)
    if not callable(function):
        raise ModelError(f"{path} must define a function `model(...)`")
    return function  # type: ignore[no-any-return]
