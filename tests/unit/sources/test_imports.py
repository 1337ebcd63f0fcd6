"""What may be imported, and from where."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.sources.exports.exports import AUTHOR, linkedin, share, unpacked, zipped

from llmtwin.errors import ForbiddenLinkError, UnreachableError
from llmtwin.settings import Settings
from llmtwin.sources import ImportOptions, import_from

EXPORT = linkedin(share(1, "A post."))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that allow no path but those in the folder of imports, which is there."""
    settings = Settings(home=tmp_path, data_dir=tmp_path / "data", crawl_allow_local=False)
    settings.imports.mkdir(parents=True)
    return settings


def contents(given: str, settings: Settings) -> list[str]:
    return [document.content for document in import_from(given, AUTHOR, settings, ImportOptions()).documents]


def test_a_name_in_the_folder_of_imports_needs_no_permission(settings: Settings) -> None:
    zipped(settings.imports / "export.zip", EXPORT)
    unpacked(settings.imports / "deep" / "blog", {"a.md": "# A\n\nText.\n"})
    assert contents("export.zip", settings)[0] == "A post."
    assert contents(str(settings.imports / "export.zip"), settings)[0] == "A post."
    assert contents((settings.imports / "export.zip").as_uri(), settings)[0] == "A post."
    assert contents("deep/blog", settings) == ["# A\n\nText."]


def test_there_is_a_setting_for_the_folder(tmp_path: Path) -> None:
    zipped(tmp_path / "export.zip", EXPORT)
    assert contents("export.zip", Settings(imports_dir=tmp_path))[0] == "A post."
    assert Settings(home=tmp_path, imports_dir=Path("my/imports")).imports == tmp_path / "my" / "imports"


def test_nothing_leads_out_of_the_folder(settings: Settings, tmp_path: Path) -> None:
    outside = zipped(tmp_path / "outside.zip", EXPORT)
    (settings.imports / "link.zip").symlink_to(outside)
    (settings.imports / "folder").symlink_to(tmp_path)
    for given in ("../../outside.zip", "link.zip", "folder/outside.zip", ".././../outside.zip"):
        with pytest.raises(ForbiddenLinkError, match="leads out of the folder of imports"):
            contents(given, settings)
    for given in (str(outside), outside.as_uri(), "/etc"):
        with pytest.raises(ForbiddenLinkError, match="LLMTWIN_CRAWL_ALLOW_LOCAL"):
            contents(given, settings)


def test_other_paths_are_read_where_settings_allow_local_ones(settings: Settings, tmp_path: Path) -> None:
    outside = zipped(tmp_path / "outside.zip", EXPORT)
    allowed = settings.model_copy(update={"crawl_allow_local": True})
    assert contents(str(outside), allowed)[0] == "A post."
    with pytest.raises(ForbiddenLinkError, match="leads out of the folder of imports"):
        contents("../../outside.zip", allowed)


@pytest.mark.parametrize("given", ["nowhere.zip", "no\0thing", "~nobody-of-this-name/export.zip", "x" * 5000])
def test_what_is_not_there(given: str, settings: Settings) -> None:
    with pytest.raises(UnreachableError, match="cannot be opened"):
        contents(given, settings)


@pytest.mark.parametrize("given", ["https://example.org/export.zip", "file://elsewhere/export.zip", "git@host:a/b"])
def test_what_is_no_path_of_this_machine(given: str, settings: Settings) -> None:
    with pytest.raises(ForbiddenLinkError, match="is no path of this machine"):
        contents(given, settings)


def test_a_blog_that_git_keeps_is_imported_as_texts(settings: Settings) -> None:
    unpacked(settings.imports / "blog", {".git/HEAD": "ref: refs/heads/main\n", "a.md": "# A\n\nText.\n"})
    assert contents("blog", settings) == ["# A\n\nText."]
