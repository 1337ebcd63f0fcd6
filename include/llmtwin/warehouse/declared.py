"""sources.yaml: the links of each author that are crawled on schedule.

::

    Ana Núñez:
      - https://ana.example/blog
      - https://github.com/ana
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from llmtwin.documents import user_id
from llmtwin.documents.contract import FilledText
from llmtwin.errors import SettingsError

_Declared = TypeAdapter(dict[FilledText, Annotated[list[FilledText], Field(min_length=1)]])


def declared_sources(path: Path) -> dict[str, list[str]]:
    """Return the links of each author by full name; nothing when there is no such file, or nothing in it.

    Raises:
        SettingsError: It cannot be read, or says something else than authors and links; names line and field.
    """
    try:
        loader = yaml.SafeLoader(path.read_bytes())
        root = loader.get_single_node()
        content = loader.construct_document(root) if root else {}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:  # a day that no month has is no YAMLError
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{path}{where}: no YAML: {getattr(error, 'problem', None) or error}") from error
    if root is None:
        return {}
    _refuse_repeated_authors(path, root)
    try:
        return _Declared.validate_python(content)
    except ValidationError as error:
        problems = "; ".join(
            f"line {_line(root, problem['loc'])}, {_field(problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        )
        raise SettingsError(f"{path}: {problems}. It maps an author's full name to a list of links") from error


def _refuse_repeated_authors(path: Path, root: yaml.Node) -> None:
    """YAML would keep the last of two equal keys, and with it lose the links under the first."""
    first: dict[UUID, int] = {}
    for key, _ in root.value if isinstance(root, yaml.MappingNode) else ():
        line = key.start_mark.line + 1
        author = user_id(str(key.value))
        if author in first:
            raise SettingsError(f"{path}, line {line}: {key.value!r} stands already in line {first[author]}; join them")
        first[author] = line


def _line(node: yaml.Node, location: Sequence[int | str]) -> int:
    """Return the line, counted from 1, of the innermost part of the file that a location leads to."""
    line = node.start_mark.line + 1
    for step in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if str(key.value) == str(step)]
            if not pairs:
                break
            (key, node), *_ = pairs
            line = key.start_mark.line + 1
            continue
        else:
            break
        line = node.start_mark.line + 1
    return line


def _field(location: Sequence[int | str]) -> str:
    author, *rest = location or ("the file",)
    index = [f"link {step + 1}" for step in rest if isinstance(step, int)]
    return ", ".join([str(author), *index])
