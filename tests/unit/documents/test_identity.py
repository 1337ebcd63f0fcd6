"""One spelling for one link, and never the same identifier for two documents."""

import string
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmtwin.documents.identity import canonical_link, document_id, user_id

URLS = st.builds(
    lambda scheme, host, path, query: f"{scheme}://{host}/{path}?{query}",
    st.sampled_from(["http", "https", "HTTPS", "ssh", "ftp"]),
    st.sampled_from(
        ["Example.org", "user:secret@example.org:8080", "example.org:443", "[2001:DB8::1]:80", "example.org."]
    ),
    st.text(max_size=20),
    st.text(alphabet="abc&=+%41é;?/ _", max_size=20),
)


@pytest.mark.parametrize(
    ("link", "canonical"),
    [
        ("HTTP://Example.ORG:80/Path/", "https://example.org/Path"),
        ("https://user:secret@example.org/a", "https://example.org/a"),
        ("ssh://git:secret@example.org:22/a/b", "ssh://git@example.org/a/b"),
        ("https://example.org/a#part", "https://example.org/a"),
        ("https://example.org/a?utm_source=x&b=2&a=1&fbclid=3", "https://example.org/a?a=1&b=2"),
        ("https://example.org/%7euser/%e3%81%82", "https://example.org/~user/%E3%81%82"),
        ("https://example.org/あ b", "https://example.org/%E3%81%82%20b"),
        ("https://example.org/100%", "https://example.org/100%25"),
        ("https://example.org./a", "https://example.org/a"),
        ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]"),
        ("file:///tmp/a%23b", "file:///tmp/a%23b"),
        ("  notes/a b.md ", "notes/a b.md"),
        ("https://example.org:port/a", "https://example.org:port/a"),
        ("https://[half", "https://[half"),
    ],
)
def test_canonical_link(link: str, canonical: str) -> None:
    assert canonical_link(link) == canonical


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.org/a%2Fb", "https://example.org/a/b"),
        ("https://example.org/%E8", "https://example.org/%E9"),
        ("https://example.org/?q=%83e", "https://example.org/?q=%82e"),
        ("https://example.org/a?b=1%262", "https://example.org/a?b=1&2"),
        ("https://example.org/A", "https://example.org/a"),
    ],
)
def test_different_pages_stay_different(one: str, other: str) -> None:
    assert canonical_link(one) != canonical_link(other)


@given(st.one_of(URLS, st.text()))
@example("https:////")
@example("http://host:443/%")
@example("https://a/?%&=&a")
def test_canonical_link_is_idempotent(link: str) -> None:
    assert canonical_link(canonical_link(link)) == canonical_link(link)


# Every byte that git allows in a name; `.` and `..` alone are no file names.
FILE_NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: not {0, ord("/")} & set(name) and name.strip(b"."))


@given(FILE_NAMES, FILE_NAMES)
@example(b"a#b", b"a")
@example(b"a?b", b"a")
@example(b"a ", b"a")
@example(b"a\n", b"a")
@example(b"a%20", b"a ")
@example("é".encode(), "e\u0301".encode())
@example(b"caf\xe9", b"caf\xe8")
def test_two_files_never_share_an_identifier(one: bytes, other: bytes) -> None:
    root = "https://github.com/a/b/blob/main"
    links = [f"{root}/{quote(name)}" for name in (one, other)]
    assert (document_id("repository", links[0]) == document_id("repository", links[1])) == (one == other)
    assert canonical_link(links[0]) == links[0]


@given(st.text(alphabet=string.ascii_letters + " é"))
def test_an_author_is_known_by_name_whatever_its_case_and_spacing(name: str) -> None:
    assert user_id(f"  {name.upper()} ") == user_id(name.lower().replace(" ", "  "))


def test_an_author_is_known_by_name_however_its_accents_are_encoded() -> None:
    composed, decomposed = "Ana N\u00fa\u00f1ez", "Ana Nu\u0301n\u0303ez"
    assert user_id(composed) == user_id(decomposed) == user_id(decomposed.upper())
    assert user_id(composed) != user_id("Ana Nunez")
