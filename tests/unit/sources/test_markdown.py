"""Front matter, titles and dates."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from llmtwin.errors import UnreadableError
from llmtwin.sources.markdown import parse


def test_yaml_front_matter() -> None:
    file = parse("x", "---\ntitle: A café\ndate: 2024-03-05 10:00:00+02:00\nauthor: x\n---\n\n# Body\n\ntext\n", "a")
    assert (file.title, file.body, file.draft) == ("A café", "# Body\n\ntext", False)
    assert file.published_at == datetime(2024, 3, 5, 10, tzinfo=timezone(timedelta(hours=2)))


def test_toml_front_matter() -> None:
    file = parse("x", '+++\ntitle = "Hugo"\ndate = 2024-03-05\ndraft = true\n+++\ntext', "a")
    assert (file.title, file.body, file.draft) == ("Hugo", "text", True)
    assert file.published_at == datetime(2024, 3, 5, tzinfo=UTC)


def test_jekyll_keeps_the_date_in_the_file_name() -> None:
    file = parse("x", "just text", "2021-12-31-a-new-year")
    assert (file.title, file.published_at) == ("a new year", datetime(2021, 12, 31, tzinfo=UTC))


def test_jekylls_unpublished_is_a_draft() -> None:
    assert parse("x", "---\npublished: false\n---\ntext", "a").draft


def test_the_first_heading_is_the_title_where_no_field_is() -> None:
    assert parse("x", "# The title #\n\ntext", "file").title == "The title"


@pytest.mark.parametrize("date", ["March 5th", "2024-13-45", "[1, 2]", ""])
def test_a_date_that_is_none_is_left_out(date: str) -> None:
    assert parse("x", f"---\ntitle: t\ndate: '{date}'\n---\ntext", "a").published_at is None


def test_a_rule_in_the_text_is_no_front_matter() -> None:
    text = "Before\n\n---\n\nafter: this\n\n---"
    assert parse("x", text, "a").body == text


def test_windows_line_ends() -> None:
    file = parse("x", "---\r\ntitle: t\r\n---\r\nline one\r\nline two\r\n", "a")
    assert (file.title, file.body) == ("t", "line one\r\nline two")


@pytest.mark.parametrize(
    "front_matter",
    [
        "---\ntitle: [unclosed\n---\n",
        "---\n- a\n- list\n---\n",
        "+++\ntitle = \n+++\n",
        "---\na: &a [*a]\nb: !!python/object:os.x\n---\n",
    ],
)
def test_broken_front_matter_names_the_file(front_matter: str) -> None:
    with pytest.raises(UnreadableError, match=r"file:///broken\.md.*front matter"):
        parse("file:///broken.md", f"{front_matter}text", "a")


def test_deeply_nested_front_matter_is_an_error_and_no_crash() -> None:
    with pytest.raises(UnreadableError):
        parse("x", f"---\na: {'[' * 100_000}\n---\n", "a")
