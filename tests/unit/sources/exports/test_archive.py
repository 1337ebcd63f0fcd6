"""Archives that lie, leak or break."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sources.exports.exports import (
    AUTHOR,
    PERSONAL,
    linkedin,
    medium,
    read,
    share,
    substack,
    tweet,
    unpacked,
    x,
    zipped,
)

from llmtwin.errors import ForbiddenLinkError, SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import ImportOptions, crawl, import_from, source_for
from llmtwin.sources.exports import archive as archives
from llmtwin.sources.exports.archive import open_archive

EXPORTS = {
    "linkedin_export": linkedin(share(1, "A post.")),
    "medium_export": medium(),
    "substack_export": substack(),
    "x_export": x(tweet(1, "A tweet.")),
}


def reasons(path: Path, **limits: int) -> dict[str, str]:
    """Return what is wrong with each member."""
    _, crawl = read(path, **limits)
    return {failure.link.rpartition("!/")[2]: failure.reason for failure in crawl.failures}


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("top", ["", "Complete_Export_11-21-2026/"])
def test_an_export_is_recognised_as_zip_and_as_folder_with_and_without_a_folder_at_its_top(
    name: str, top: str, tmp_path: Path
) -> None:
    members = {f"{top}{member}": content for member, content in EXPORTS[name].items()}
    as_zip = zipped(tmp_path / "export.zip", {**members, "__MACOSX/._x": "", f"{top}.DS_Store": ""})
    as_folder = unpacked(tmp_path / "export", members)
    assert source_for(str(as_zip)).name == source_for(as_folder.as_uri()).name == name
    contents = [[(document.link, document.content) for document in read(path)[0]] for path in (as_zip, as_folder)]
    assert contents[0] == contents[1] != []


def test_a_folder_with_an_export_and_markdown_is_the_export(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "export", medium() | {"notes.md": "# A note\n\nOf mine.\n"})
    assert source_for(str(folder)).name == "medium_export"


def test_a_zip_that_is_no_export_is_told_what_would_be(tmp_path: Path) -> None:
    path = zipped(tmp_path / "holiday.zip", {"photo.txt": "x"})
    assert source_for(str(path)).name == "unknown_archive"
    with pytest.raises(
        UnreadableError, match=r"a zip with photo.txt, .*X archive \(data/tweets.js\).*LinkedIn data export \("
    ):
        read(path)


@pytest.mark.parametrize("name", EXPORTS)
def test_only_what_holds_published_writing_is_ever_opened(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Personal data stays closed: not read and thrown away, but never opened."""
    opened: list[str] = []
    folder = unpacked(tmp_path / "folder", EXPORTS[name])
    path = zipped_elsewhere(tmp_path / "export.zip", EXPORTS[name])
    wanted = {
        "linkedin_export": {"Shares.csv", "Articles/Articles/2024-02-02-on-herons.html"},
        "medium_export": {member for member in EXPORTS["medium_export"] if member.startswith("posts/")},
        "substack_export": {"posts.csv", "posts/101.owls.html", "posts/102.later.html", "posts/103.talking.html"},
        "x_export": {"data/tweets.js"},
    }
    open_member, open_file = zipfile.ZipFile.open, os.open

    def noted(self: zipfile.ZipFile, info: zipfile.ZipInfo, *rest: object) -> object:
        opened.append(info.filename)
        return open_member(self, info, *rest)  # type: ignore[arg-type]

    def noted_file(file: object, *rest: object) -> int:
        if isinstance(file, Path) and file.is_relative_to(folder):
            opened.append(file.relative_to(folder).as_posix())
        return open_file(file, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(zipfile.ZipFile, "open", noted)
    monkeypatch.setattr(os, "open", noted_file)
    for export in (path, folder):
        opened.clear()
        documents, crawl = read(export, ImportOptions(drafts=True, podcasts=True))
        assert set(opened) == wanted[name]
        assert "secret" not in "".join(document.model_dump_json() for document in documents)
        assert crawl.failures == []


def zipped_elsewhere(path: Path, members: dict[str, str]) -> Path:
    """Write a zip in another process, because writing one opens members too."""
    folder = unpacked(path.parent / "members", members)
    subprocess.run([sys.executable, "-m", "zipfile", "-c", str(path), *map(str, sorted(folder.iterdir()))], check=True)
    return path


def test_a_zip_bomb_is_stopped_while_it_is_read(tmp_path: Path) -> None:
    bomb = "Shares_2.csv"
    path = zipped(tmp_path / "export.zip", linkedin(share(1, "Small.")) | {bomb: b"0" * 30_000_000})
    documents, _ = read(path)
    assert documents[0].content == "Small."
    assert "unpacks to over 200 times its size" in reasons(path)[bomb]
    assert (
        "is larger than 1,000,000 bytes (LLMTWIN_IMPORT_MAX_MEMBER_BYTES)"
        in (reasons(path, import_max_member_bytes=1_000_000, import_max_ratio=10_000)[bomb])
    )


def test_what_a_zip_says_about_a_members_size_is_not_believed(tmp_path: Path) -> None:
    """The directory calls 5 MB 10 bytes: nothing but these 10 are unpacked, and their checksum gives the lie away."""
    path = zipped(tmp_path / "export.zip", {"Shares.csv": b"0" * 5_000_000})
    content = path.read_bytes()
    directory = content.rindex(b"PK\x01\x02")
    path.write_bytes(content[: directory + 24] + struct.pack("<I", 10) + content[directory + 28 :])
    documents, crawl = read(path)
    assert documents == []
    assert "is damaged: Bad CRC-32" in crawl.failures[0].reason


def test_an_export_that_is_too_large_as_a_whole_ends_there_and_keeps_what_was_read(tmp_path: Path) -> None:
    pages = {f"posts/{number}.p{number}.html": f"<p>{os.urandom(20_000).hex()}</p>" for number in range(9)}
    rows = "".join(f"{number}.p{number},2024-01-02T03:04:05Z,true,newsletter,T\n" for number in range(9))
    members = {"posts.csv": "post_id,post_date,is_published,type,title\n" + rows, **pages}
    path = zipped(tmp_path / "export.zip", members)
    options = ImportOptions(site="ana.substack.com")
    documents, crawl = read(path, options, import_max_bytes=150_000)
    assert len(documents) == 3
    [failure] = crawl.failures
    assert failure.link == path.as_uri()
    assert "more than 150,000 bytes of it would have to be read (LLMTWIN_IMPORT_MAX_BYTES)" in failure.reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../Shares.csv", "leads out of the archive"),
        ("Articles/../../etc/passwd", "leads out of the archive"),
        ("..\\Shares.csv", "leads out of the archive"),
        ("/etc/passwd", "an absolute name"),
        ("\\\\server\\share", "an absolute name"),
        ("C:\\Shares.csv", "an absolute name"),
    ],
)
def test_names_that_lead_elsewhere_cost_themselves(name: str, reason: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", linkedin(share(1, "Sound.")) | {name: "not mine"})
    documents, crawl = read(path)
    assert len(documents) == 2
    assert [reason in failure.reason for failure in crawl.failures] == [True]


def test_names_that_are_there_twice_are_both_left_closed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", linkedin(share(1, "One.")))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("Shares.csv", linkedin(share(2, "Another."))["Shares.csv"])
    documents, crawl = read(path)
    assert [document.title for document in documents] == ["On herons"]
    assert [(failure.link.endswith("!/Shares.csv"), failure.reason) for failure in crawl.failures] == [
        (True, "is there more than once")
    ]


def test_symbolic_links_and_devices_in_a_zip_stay_closed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", linkedin(share(1, "Sound.")))
    with zipfile.ZipFile(path, "a") as archive:
        for name, kind in (("Shares_2.csv", stat.S_IFLNK), ("Shares_3.csv", stat.S_IFIFO)):
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
    assert reasons(path) == {"Shares_2.csv": "is a symbolic link", "Shares_3.csv": "is no regular file"}


def test_symbolic_links_and_pipes_in_a_folder_stay_closed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(linkedin(share(9, "Secret."))["Shares.csv"])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.html").write_text("<p>Secret.</p>")
    folder = unpacked(tmp_path / "export", {"Shares.csv": linkedin(share(1, "Sound."))["Shares.csv"]})
    (folder / "Shares_2.csv").symlink_to(secret)
    (folder / "Articles").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "Shares_3.csv")
    documents, _ = read(folder)
    assert [document.content for document in documents] == ["Sound."]
    assert reasons(folder) == {"Shares_2.csv": "is a symbolic link", "Shares_3.csv": "is no regular file"}


def test_a_file_that_becomes_a_link_after_it_was_listed_is_not_followed(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "export", {"Shares.csv": "x"})
    with open_archive(folder, Settings()) as archive:
        (folder / "Shares.csv").unlink()
        (folder / "Shares.csv").symlink_to("/etc/passwd")
        with pytest.raises(UnreadableError, match=r"Shares.csv': cannot be read: Too many levels of symbolic links"):
            archive.read("Shares.csv")


def encrypted(path: Path, every: bool) -> Path:
    """Set the flag that says so in the directory of a zip, for all members or the first."""
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    while at >= 0:
        content[at + 8] |= 1
        at = content.find(b"PK\x01\x02", at + 4) if every else -1
    path.write_bytes(content)
    return path


def test_an_encrypted_zip_is_told_to_be_unpacked(tmp_path: Path) -> None:
    path = encrypted(zipped(tmp_path / "export.zip", linkedin(share(1, "Locked."))), every=True)
    with pytest.raises(UnreadableError, match="is encrypted; unpack it with its password"):
        read(path)


def test_an_encrypted_member_costs_itself(tmp_path: Path) -> None:
    path = encrypted(zipped(tmp_path / "export.zip", linkedin(share(1, "Locked."))), every=False)
    documents, _ = read(path)
    assert [document.title for document in documents] == ["On herons"]
    assert reasons(path) == {"Shares.csv": "is encrypted"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("cut.zip", None, "a zip whose end is missing"),
        ("text.zip", b"Not a zip.", "is no zip, whatever its name says"),
        ("empty.zip", b"", "is no zip"),
        ("nothing.zip", b"PK\x05\x06" + b"\0" * 18, "a zip with nothing"),
    ],
)
def test_what_is_no_sound_zip(name: str, content: bytes | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is None:
        content = zipped(path, linkedin(share(1, "x" * 9_000))).read_bytes()[:-200]
    path.write_bytes(content)
    assert source_for(str(path)).name == "unknown_archive"
    with pytest.raises(UnreadableError, match=reason):
        read(path)


def test_a_damaged_member_costs_itself(tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", linkedin(share(1, "A post that will not be read.")))
    content = bytearray(path.read_bytes())
    start = content.index(b"Shares.csv") + len("Shares.csv")
    content[start + 8 : start + 24] = b"\xff" * 16
    path.write_bytes(content)
    documents, _ = read(path)
    assert [document.title for document in documents] == ["On herons"]
    assert "is damaged" in reasons(path)["Shares.csv"]


def test_a_compression_without_a_bound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("Shares.csv", "x" * 10_000_000)
    assert reasons(path) == {"Shares.csv": "is compressed in a way that no export is"}


def test_more_files_than_any_export_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_MOST_MEMBERS", 3)
    path = zipped(tmp_path / "export.zip", linkedin(share(1, "Sound.")))
    with pytest.raises(UnreadableError, match="holds more than 3 files"):
        read(path)


def test_a_zip_full_of_names_that_lead_elsewhere_is_refused_as_a_whole(tmp_path: Path) -> None:
    hostile = {f"../{number}": "x" for number in range(101)}
    with pytest.raises(UnreadableError, match=r"holds 101 files that must not be read.*the first is .*!/../0': has a"):
        read(zipped(tmp_path / "export.zip", linkedin(share(1, "Sound.")) | hostile))


def test_a_folder_is_looked_at_only_where_exports_keep_what_was_written(tmp_path: Path) -> None:
    members = {"data/tweets.js": EXPORTS["x_export"]["data/tweets.js"], "data/tweets_media/a.jpg": "x", "else/b": "y"}
    folder = unpacked(tmp_path / "export", members)
    (folder / "else" / "link").symlink_to("/")
    with open_archive(folder, Settings()) as archive:
        assert archive.names == ["data/tweets.js"]
        assert archive.failures == []


@pytest.mark.parametrize(
    ("name", "source"), [("export", "unknown_archive"), ("a.docx", "article"), ("a.epub", "article")]
)
def test_what_else_is_a_zip_inside(name: str, source: str, tmp_path: Path) -> None:
    assert source_for(str(zipped(tmp_path / name, {"mimetype": "text"}))).name == source


@pytest.mark.parametrize("name", ["pipe", "pipe.zip"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    assert source_for(str(tmp_path / name)).name == "article"
    with pytest.raises(UnreadableError, match="neither an export"):
        read(tmp_path / name)


def test_other_things_that_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("A note.")
    with pytest.raises(UnreadableError, match="neither an export"):
        read(tmp_path / "note.txt")
    with pytest.raises(UnreachableError, match="No such file"):
        read(tmp_path / "nowhere.zip")
    with pytest.raises(ForbiddenLinkError, match="LLMTWIN_CRAWL_ALLOW_LOCAL"):
        path = zipped(tmp_path / "export.zip", linkedin())
        import_from(str(path), AUTHOR, Settings(crawl_allow_local=False), ImportOptions())


def test_an_export_can_be_a_registered_link_too(tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", linkedin(share(1, "A post.")))
    started = crawl(path.as_uri(), AUTHOR, Settings(crawl_allow_local=True))
    assert [document.title for document in started.documents] == [None, "On herons"]


MEMBERS = st.dictionaries(
    st.one_of(
        st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=30),
        st.lists(st.sampled_from(["..", ".", "", "Articles", "posts", "a.html", "C:", "\\"]), min_size=2).map("/".join),
        st.sampled_from([*linkedin(), *PERSONAL]),
    ),
    st.binary(max_size=200),
    max_size=8,
)


@settings(deadline=None)  # it writes files
@given(MEMBERS)
def test_no_name_opens_anything_but_what_its_own_spelling_means(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes]
) -> None:
    path = zipped(
        tmp_path_factory.mktemp("fuzz") / "e.zip", {name: text for name, text in members.items() if name != "/"}
    )
    with open_archive(path, Settings()) as archive:
        for name in archive.names:
            assert not name.startswith("/")
            assert ".." not in name.split("/")
            assert archive.read(name) in members.values()
        assert all(isinstance(failure, SourceError) for failure in archive.failures)


@settings(deadline=None)  # it writes files
@given(st.data())
def test_a_zip_with_damaged_bytes_gives_errors_that_say_so_or_what_was_in_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = zipped(tmp_path_factory.mktemp("damaged") / "export.zip", linkedin(share(1, "A post.")))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        documents, crawl = read(path)
    except SourceError as error:
        assert "export.zip" in error.link
    else:
        assert {document.title for document in documents} <= {None, "On herons"}
        assert all("export.zip" in failure.link for failure in crawl.failures)
