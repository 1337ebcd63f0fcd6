"""What a page makes a browser ask for goes to judged addresses only: 127.0.0.1 counts as public here, nothing else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sources.conftest import WebServer, send

from llmtwin.errors import ForbiddenLinkError, UnreachableError
from llmtwin.settings import Settings
from llmtwin.sources import browser, guard


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(guard, "is_public", lambda address: address == "127.0.0.1")
    return Settings(data_dir=tmp_path, crawl_allow_private=False, crawl_timeout_seconds=5)


@contextmanager
def secret_service() -> Iterator[tuple[int, list[str]]]:
    """A port of a private address that notes whatever reaches it, by TCP or UDP."""
    reached: list[str] = []
    listener = socket.create_server(("127.0.0.2", 0))
    port = listener.getsockname()[1]
    packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    packets.bind(("127.0.0.2", port))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            reached.append("TCP")
            connection.close()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield port, reached
        packets.setblocking(False)
        try:
            packets.recv(2048)
            reached.append("UDP")
        except BlockingIOError:
            pass
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        packets.close()
        thread.join()


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data/", "https://[::1]/"])
def test_a_redirect_to_a_private_address_is_refused(web: WebServer, settings: Settings, target: str) -> None:
    link = web.serve("/post", "", 302, Location=target)
    with pytest.raises(ForbiddenLinkError, match=r"/post.*leads to http.*not on the public internet") as caught:
        browser.render(link, settings)
    assert caught.value.link == link


def test_a_script_that_goes_elsewhere_is_refused(web: WebServer, settings: Settings) -> None:
    with secret_service() as (port, reached):
        link = web.serve("/post", f"<p>Text</p><script>location = 'http://127.0.0.2:{port}/'</script>")
        with pytest.raises(ForbiddenLinkError, match=r"/post.*127\.0\.0\.2"):
            browser.render(link, settings)
    assert not reached


def test_nothing_in_a_page_reaches_a_private_address(web: WebServer, settings: Settings) -> None:
    with secret_service() as (port, reached):
        there = f"127.0.0.2:{port}"
        link = web.serve(
            "/post",
            f"""<p id=told></p><img src='http://{there}/i'><iframe src='http://{there}/f'></iframe>
            <link rel=preconnect href='http://{there}'><link rel=stylesheet href='//{there}/s'>
            <script src='http://{there}/j'></script><script>
            const settled = (promise) => promise.then(() => 'reached', () => 'refused');
            const socket = new WebSocket('ws://{there}/');
            const calls = new RTCPeerConnection({{iceServers: [
                {{urls: 'stun:{there}'}}, {{urls: 'turn:{there}?transport=tcp', username: 'u', credential: 'c'}}]}});
            calls.createDataChannel('x');
            calls.createOffer().then((offer) => calls.setLocalDescription(offer));
            const gathered = new Promise((done) => {{
                calls.onicegatheringstatechange = () => calls.iceGatheringState === 'complete' && done();
                setTimeout(done, 2000);
            }});
            Promise.all([
                settled(fetch('http://{there}/', {{mode: 'no-cors'}})),
                settled(fetch('https://{there}/', {{mode: 'no-cors'}})),
                settled(fetch('http://secret.test:{port}/', {{mode: 'no-cors'}})),
                settled(new Promise((open, shut) => {{ socket.onopen = open; socket.onerror = shut; }})),
                gathered,
            ]).then((all) => {{ told.textContent = all.join(' ') + '.'; }});</script>""",
        )
        assert b"refused refused refused refused ." in browser.render(link, settings).content
    assert not reached


def test_a_name_that_changes_its_address_gains_nothing(
    web: WebServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: once the page is loaded, its own name leads to a private address."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != "rebind.test":
            return real(host, *arguments, **options)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    web.serve(
        "/post", "<p id=told>…</p><script>fetch('/secret').catch(() => { told.textContent = 'refused' })</script>"
    )
    page = browser.render(f"http://rebind.test:{web.port}/post", settings)
    assert b">refused<" in page.content
    assert len(asked) > 1
    assert [path for path, _ in web.requests] == ["/post"]


def test_what_may_be_reached_is_reached(web: WebServer, settings: Settings) -> None:
    """The guard is not merely a wall: redirects, forms with a body and further requests pass."""
    web.serve("/old", "", 302, Location="/post")
    web.routes["/echo"] = lambda request: send(request, request.rfile.read(int(request.headers["Content-Length"])))
    web.serve(
        "/post",
        """<p id=told></p><script>(async () => {
        for (const part of ['one ', 'two ', 'three'])
            told.textContent += await (await fetch('/echo', {method: 'POST', body: part})).text();
        })()</script>""",
    )
    page = browser.render(f"{web.url}/old", settings)
    assert page.url == f"{web.url}/post"
    assert b">one two three<" in page.content


def test_a_host_that_is_not_there(settings: Settings) -> None:
    with pytest.raises(UnreachableError, match=r"nowhere\.invalid.*name service"):
        browser.render("http://nowhere.invalid/", settings)
