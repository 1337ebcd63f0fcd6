"""A Markdown file: front matter (YAML or TOML) and body, title and date."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import yaml

from llmtwin.errors import UnreadableError

SUFFIXES = (".md", ".markdown", ".mdown", ".mkd", ".mdx")

_FRONT_MATTER = re.compile(
    r"\A\s*(?P<fence>---|\+\+\+)[ \t]*\r?\n(?P<fields>.*?)^(?P=fence)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)
_FILE_NAME = re.compile(r"(?P<date>\d{4}-\d{2}-\d{2})(?:-(?P<slug>.+))?")
# What static site generators and plugins of theirs call the address of a text that is published elsewhere too.
_CANONICAL = ("canonical_url", "canonicalurl", "canonical_link", "canonical")
_DATES = ("date", "publishdate", "pubdate", "published_at")
_SPACE_BEFORE_ZONE = re.compile(r"(?<=\d)\s+(?=[+-]\d{2}:?\d{2}$|Z$)")
_FIRST_HEADING = re.compile(r"\A\s*#[ \t]+(?P<title>[^\n]+?)[ \t#]*(?:\n|\Z)")


@dataclass(frozen=True)
class MarkdownFile:
    """A Markdown file, read."""

    body: str
    title: str | None
    published_at: datetime | None
    draft: bool
    link: str | None = None
    """The public address that the front matter gives."""


def parse(link: str, text: str, stem: str) -> MarkdownFile:
    """Read a Markdown file.

    Title and date are the front matter's; else the first heading's and the file name's (``YYYY-MM-DD-title``).

    Args:
        link: Names the file in errors.
        text: All of the file.
        stem: The file's name without its suffix.

    Raises:
        UnreadableError: The front matter is neither YAML nor TOML with named fields.
    """
    front_matter = _FRONT_MATTER.match(text)
    fields = _fields(link, front_matter) if front_matter else {}
    body = text[front_matter.end() :] if front_matter else text
    return MarkdownFile(
        body=body.strip("\r\n"),
        title=_title(fields, body, stem),
        published_at=next(filter(None, map(_moment, map(fields.get, _DATES))), date_of_name(stem)),
        draft=fields.get("draft") is True or fields.get("published") is False,
        link=next((value for name in _CANONICAL if _is_on_the_web(value := fields.get(name))), None),
    )


def title_of_name(stem: str) -> str | None:
    """Return the title that a file's name is, without the date before it."""
    named = _FILE_NAME.fullmatch(stem)
    name = (named["slug"] if named else None) or stem
    return name.replace("-", " ").replace("_", " ").strip() or None


def date_of_name(stem: str) -> datetime | None:
    """Return the date that a file's name begins with."""
    named = _FILE_NAME.fullmatch(stem)
    return _moment(named["date"]) if named else None


def _fields(link: str, front_matter: re.Match[str]) -> dict[str, Any]:
    load = yaml.safe_load if front_matter["fence"] == "---" else tomllib.loads
    try:
        fields = load(front_matter["fields"]) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnreadableError(link, f"its front matter cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(fields, dict):
        raise UnreadableError(link, f"its front matter holds a {type(fields).__name__} where fields with names belong")
    return {str(name).lower(): value for name, value in fields.items()}


def _title(fields: dict[str, Any], body: str, stem: str) -> str | None:
    if title := str(fields.get("title") or "").strip():
        return title
    heading = _FIRST_HEADING.match(body)
    return heading["title"] if heading else title_of_name(stem)


def _is_on_the_web(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://"))


def _moment(value: object) -> datetime | None:
    """Return a date as YAML, TOML or ISO 8601 gives it, UTC where it names no zone; None when it is none of these."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(_SPACE_BEFORE_ZONE.sub("", value.strip()))
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time(), UTC) if isinstance(value, date) else None
