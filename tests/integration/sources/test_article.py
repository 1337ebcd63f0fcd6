"""Articles off a real web server, and off the disk."""

from __future__ import annotations

import datetime
import gzip
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from llmtwin.documents import RawArticle, User, document_id
from llmtwin.errors import (
    ForbiddenLinkError,
    HttpStatusError,
    LoginWallError,
    SourceError,
    UnreachableError,
    UnreadableError,
)
from llmtwin.local.ports import free_port
from llmtwin.settings import Settings
from llmtwin.sources import crawl, guard, page

PAGES = Path(__file__).parents[2] / "fixtures" / "sources" / "article"
ARTICLE = "<html><head><title>Title</title></head><body><article><h1>Title</h1><p>{}</p></article></body></html>"
SENTENCE = "Où est le café que “tout le monde” cherche depuis ce matin, et pourquoi n'est-il pas déjà là ? " * 3
JAPANESE = "古池や蛙飛びこむ水の音。この句は、静けさと音の対比によって、読む者の心に深い余韻を残す。" * 3


def only(link: str, author: User, settings: Settings) -> RawArticle:
    started = crawl(link, author, settings)
    (document,) = started.documents
    assert isinstance(document, RawArticle)
    assert started.complete
    assert not started.failures
    return document


def test_a_page_becomes_a_raw_article(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve("/post", (PAGES / "blog.html").read_bytes(), content_type="text/html; charset=utf-8")
    document = only(f"{link}?utm_source=feed#top", author, open_settings)
    assert document.id == document_id("article", link)
    assert document.link == document.source_link == link.replace("http:", "https:")
    assert (document.platform, document.title, document.author_id) == ("127.0.0.1", "Écrire un analyseur", author.id)
    assert document.published_at == datetime.datetime(2024, 3, 5, 10, tzinfo=datetime.UTC)
    assert '        return "a  b"\n\n    # comment' in document.content
    assert web.requests == [("/post?utm_source=feed", f"127.0.0.1:{web.port}")]


def test_crawled_twice_it_is_the_same_document(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve("/post", (PAGES / "blog.html").read_bytes())
    first, second = only(link, author, open_settings), only(f"{link}?fbclid=1#top", author, open_settings)
    assert (first.id, first.content_hash) == (second.id, second.content_hash)


@pytest.mark.parametrize(
    ("text", "encoding", "content_type"),
    [
        (SENTENCE, "cp1252", "text/html; charset=ISO-8859-1"),
        (SENTENCE, "cp1252", "text/html; charset=windows-1252"),
        (SENTENCE, "utf-8", "text/html; charset=ISO-8859-1"),
        (SENTENCE, "utf-16", "text/html"),
        (JAPANESE, "shift_jis", "text/html; charset=Shift_JIS"),
        (JAPANESE, "euc_jp", "text/html"),
        (SENTENCE, "utf-8", ""),
    ],
)
def test_every_encoding_gives_the_text_as_written(
    web: Any, author: User, open_settings: Settings, text: str, encoding: str, content_type: str
) -> None:
    link = web.serve("/post", ARTICLE.format(text).encode(encoding), content_type=content_type)
    assert text.strip() in only(link, author, open_settings).content


def test_a_compressed_page(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve("/post", gzip.compress(ARTICLE.format(SENTENCE).encode()), Content_Encoding="gzip")
    assert SENTENCE.strip() in only(link, author, open_settings).content


def test_markdown_off_the_web(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve("/raw/post.md", "---\ntitle: T\n---\n# H\n\n    code\n", content_type="text/plain; charset=utf-8")
    document = only(link, author, open_settings)
    assert (document.title, document.content) == ("T", "# H\n\n    code")


@pytest.mark.parametrize("status", [400, 404, 410, 451, 500])
def test_an_error_status_is_told_and_not_tried_again(
    web: Any, author: User, open_settings: Settings, status: int
) -> None:
    link = web.serve("/gone", "no", status)
    with pytest.raises(HttpStatusError, match=f"/gone.*HTTP {status}") as caught:
        crawl(link, author, open_settings)
    assert caught.value.status == status
    assert len(web.requests) == 1


@pytest.mark.parametrize(("status", "headers"), [(429, {"Retry_After": "0"}), (503, {}), (502, {}), (504, {})])
def test_what_is_transient_is_tried_again(
    web: Any, author: User, open_settings: Settings, status: int, headers: dict[str, str]
) -> None:
    link = web.serve("/busy", "busy", status, **headers)
    busy = web.routes["/busy"]

    def busy_then_well(request: BaseHTTPRequestHandler) -> None:
        if len(web.requests) < 2:
            return busy(request)
        web.serve("/busy", ARTICLE.format(SENTENCE))
        return web.routes["/busy"](request)

    web.routes["/busy"] = busy_then_well
    assert SENTENCE.strip() in only(link, author, open_settings).content
    assert len(web.requests) == 2


def test_what_stays_transient_is_given_up(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve("/busy", "busy", 429, Retry_After="0")
    with pytest.raises(HttpStatusError, match="429"):
        crawl(link, author, open_settings)
    assert len(web.requests) == page.ATTEMPTS


@pytest.mark.parametrize("retry_after", ["soon", "Fri, 31 Dec 9999 23:59:59 -0500"])
def test_a_server_that_names_no_time_is_asked_again(
    web: Any, author: User, open_settings: Settings, retry_after: str
) -> None:
    link = web.serve("/busy", "busy", 429, Retry_After=retry_after)
    with pytest.raises(HttpStatusError, match="429"):
        crawl(link, author, open_settings)
    assert len(web.requests) == page.ATTEMPTS


@pytest.mark.parametrize("retry_after", ["86400", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_a_server_that_wants_rest_until_tomorrow_is_left_alone(
    web: Any, author: User, open_settings: Settings, retry_after: str
) -> None:
    link = web.serve("/busy", "busy", 429, Retry_After=retry_after)
    with pytest.raises(HttpStatusError, match="429"):
        crawl(link, author, open_settings)
    assert len(web.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_closed_door_is_a_login_wall(web: Any, author: User, open_settings: Settings, status: int) -> None:
    with pytest.raises(LoginWallError, match=str(status)):
        crawl(web.serve("/mine", "no", status), author, open_settings)


def test_a_login_form_is_a_login_wall(web: Any, author: User, open_settings: Settings) -> None:
    with pytest.raises(LoginWallError, match="login form"):
        crawl(web.serve("/mine", (PAGES / "login.html").read_bytes()), author, open_settings)


def test_a_redirect_to_a_login_page_is_a_login_wall(web: Any, author: User, open_settings: Settings) -> None:
    web.serve("/login", ARTICLE.format(SENTENCE))
    with pytest.raises(LoginWallError, match="/login"):
        crawl(web.serve("/mine", "", 302, Location="/login?next=/mine"), author, open_settings)


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (b"%PDF-1.7 \x00", "application/pdf", "PDF"),
        (b"%PDF-1.7 \x00", "text/html", "PDF"),
        (b"\x00\x01", "video/mp4", "video/mp4"),
        (b"{}", "application/json", "application/json"),
        (b"", "text/html", "no text"),
        (b"<html><body></body></html>", "text/html", "no text"),
        (b"  \n ", "text/plain", "no text"),
        (b"\x00\x81\xfe\xff" * 100, "text/plain", "no text"),
        ((PAGES / "script.html").read_bytes(), "text/html", "JavaScript"),
    ],
)
def test_what_cannot_be_read_says_why(
    web: Any, author: User, open_settings: Settings, body: bytes, content_type: str, why: str
) -> None:
    with pytest.raises(UnreadableError, match=f"/thing.*{why}"):
        crawl(web.serve("/thing", body, content_type=content_type), author, open_settings)


@pytest.mark.parametrize("announced", [True, False])
def test_a_50_mb_page_is_not_read_whole(web: Any, author: User, open_settings: Settings, announced: bool) -> None:
    sent = 0

    def stream(request: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        request.send_response(200)
        request.send_header("Content-Type", "text/html")
        if announced:
            request.send_header("Content-Length", "50000000")
        request.end_headers()
        for _ in range(500):
            request.wfile.write(b"x" * 100_000)
            sent += 100_000

    web.routes["/large"] = stream
    settings = open_settings.model_copy(update={"crawl_max_page_bytes": 1_000_000})
    with pytest.raises(UnreadableError, match="larger than 1,000,000 bytes"):
        crawl(f"{web.url}/large", author, settings)
    assert sent < 25_000_000


def test_a_small_page_that_unpacks_to_a_large_one_is_too_large(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve("/bomb", gzip.compress(b"x" * 30_000_000), Content_Encoding="gzip")
    settings = open_settings.model_copy(update={"crawl_max_page_bytes": 1_000_000})
    with pytest.raises(UnreadableError, match="larger than"):
        crawl(link, author, settings)


@pytest.mark.parametrize("drips", [True, False])
def test_a_slow_page_is_given_up(web: Any, author: User, open_settings: Settings, drips: bool) -> None:
    done = threading.Event()

    def slow(request: BaseHTTPRequestHandler) -> None:
        if drips:
            request.send_response(200)
            request.end_headers()
        while not done.wait(0.05):
            if drips:
                request.wfile.write(b"x")

    web.routes["/slow"] = slow
    settings = open_settings.model_copy(update={"crawl_timeout_seconds": 0.3})
    try:
        with pytest.raises(UnreachableError, match=r"/slow.*within 0\.3 s"):
            crawl(f"{web.url}/slow", author, settings)
    finally:
        done.set()


def test_a_redirect_loop(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve("/loop", "", 302, Location="/loop")
    with pytest.raises(SourceError, match="redirects more than 10 times") as caught:
        crawl(link, author, open_settings)
    assert not isinstance(caught.value, UnreachableError)  # which would be worth a retry
    assert len(web.requests) == page.MAX_REDIRECTS + 1


def test_ten_redirects_are_followed(web: Any, author: User, open_settings: Settings) -> None:
    for hop in range(10):
        web.serve(f"/{hop}", "", 302, Location=f"/{hop + 1}")
    web.serve("/10", ARTICLE.format(SENTENCE))
    assert only(f"{web.url}/0", author, open_settings).link.endswith("/0")


def test_an_article_is_known_by_where_it_has_moved_for_good(web: Any, author: User, open_settings: Settings) -> None:
    link = web.serve("/old", "", 301, Location="/moved")
    web.serve("/moved", "", 308, Location="/new?utm_source=redirect")
    web.serve("/new", "", 302, Location="/today")
    web.serve("/today", "", 301, Location="/session")
    web.serve("/session", ARTICLE.format(SENTENCE))
    assert only(link, author, open_settings).link == f"{web.url}/new".replace("http:", "https:")


def test_a_redirect_to_a_private_address_is_not_followed(
    web: Any, author: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "is_public", lambda address: address == "127.0.0.1")
    link = web.serve("/post", "", 302, Location=f"http://127.0.0.2:{web.port}/secret")
    with pytest.raises(ForbiddenLinkError, match=r"/post.*127\.0\.0\.2"):
        crawl(link, author, Settings(crawl_allow_private=False, crawl_cache_bytes=0))
    assert len(web.requests) == 1


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.org/", "gopher://example.org/"])
def test_a_redirect_away_from_the_web_is_not_followed(
    web: Any, author: User, open_settings: Settings, location: str
) -> None:
    with pytest.raises(ForbiddenLinkError, match="/post"):
        crawl(web.serve("/post", "", 302, Location=location), author, open_settings)


def test_a_name_that_changes_its_address_gains_nothing(web: Any, author: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the second answer for the same name is a private address."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != "rebind.test":
            return real(host, *arguments, **options)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(guard, "is_public", lambda address: address == "127.0.0.1")
    web.serve("/post", ARTICLE.format(SENTENCE))
    settings = Settings(crawl_allow_private=False, crawl_own_sites="rebind.test", crawl_cache_bytes=0)
    only(f"http://rebind.test:{web.port}/post", author, settings)
    assert asked == ["rebind.test"]
    assert web.requests == [("/post", f"rebind.test:{web.port}")]


def test_the_certificate_must_be_of_the_host_and_not_of_the_address(
    web: Any, author: User, open_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = _certificate("page.test", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    real = socket.getaddrinfo
    names = ("page.test", "other.test")
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: real("127.0.0.1" if host in names else host, *a, **k)
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = ARTICLE.format(SENTENCE).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        port = httpd.server_address[1]
        assert only(f"https://page.test:{port}/", author, open_settings).platform == "page.test"
        with pytest.raises(UnreachableError, match="certificate"):
            crawl(f"https://other.test:{port}/", author, open_settings)
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def _certificate(host: str, folder: Path) -> Path:
    """Write a self-signed certificate and its key into one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    today = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_nobody_listens(author: User, open_settings: Settings) -> None:
    with pytest.raises(UnreachableError, match="connection failed"):
        crawl(f"http://127.0.0.1:{free_port()}/", author, open_settings)


def test_the_server_hangs_up(web: Any, author: User, open_settings: Settings) -> None:
    def cut(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"<html>")
        request.close_connection = True

    web.routes["/cut"] = cut
    with pytest.raises(UnreachableError, match="/cut"):
        crawl(f"{web.url}/cut", author, open_settings)


@pytest.mark.parametrize("location", ["https://[half", "http://host:port/", "//"])
def test_a_redirect_to_no_valid_link(web: Any, author: User, open_settings: Settings, location: str) -> None:
    with pytest.raises(SourceError, match="/post"):
        crawl(web.serve("/post", "", 302, Location=location), author, open_settings)


def test_files_of_this_machine(tmp_path: Path, author: User, open_settings: Settings) -> None:
    html = tmp_path / "a page.html"
    html.write_bytes((PAGES / "blog.html").read_bytes())
    document = only(str(html), author, open_settings)
    assert (document.platform, document.link, document.title) == ("file", html.as_uri(), "Écrire un analyseur")
    assert only(html.as_uri(), author, open_settings).id == document.id

    note = tmp_path / "2024-01-02-note.md"
    note.write_text("# A note\n\nwith text")
    assert only(str(note), author, open_settings).title == "A note"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.pdf", b"%PDF-1.7", "neither a folder"),
        ("a.html", b"%PDF-1.7", "PDF"),
        ("a.md", b"", "no text"),
        ("a.md", b"a\0b", "NUL"),
        ("a.md", b"\x00\x81\xfe\xff" * 100, "no text"),
        ("a.md", b"x" * 2_000_000, "larger than 1,000,000 bytes"),
    ],
)
def test_files_that_cannot_be_read(
    tmp_path: Path, author: User, open_settings: Settings, name: str, content: bytes, why: str
) -> None:
    (tmp_path / name).write_bytes(content)
    settings = open_settings.model_copy(update={"crawl_max_page_bytes": 1_000_000})
    with pytest.raises(UnreadableError, match=rf"{name}.*{why}"):
        crawl(str(tmp_path / name), author, settings)
