"""A real web server on a free port, which answers what a test tells it to."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sources.repositories import ENVIRONMENT, commit, git

from llmtwin.documents import User
from llmtwin.settings import Settings

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class WebServer:
    """Routes are answered by path without the query; each request is noted with its Host header.

    Those for robots.txt, which come before the first page of every site, are noted apart.
    """

    url: str
    port: int
    routes: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    fallback: Answer | None = None
    asked_for_robots: list[str] = field(default_factory=list)
    headers: list[Message] = field(default_factory=list)
    """Of each request but those for robots.txt."""

    def serve(
        self, path: str, body: bytes | str = b"", status: int = 200, content_type: str = "text/html", **headers: str
    ) -> str:
        """Answer this path with this body; return its URL."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            send(request, body, status, content_type, **headers)

        self.routes[path] = answer
        return f"{self.url}{path}"

    def serve_changing(self, path: str, body: str, **headers: str) -> str:
        """Answer this path as a server that knows ETags: 304 to whoever has this body already."""
        tag = f'"{sha256(body.encode()).hexdigest()[:16]}"'

        def answer(request: BaseHTTPRequestHandler) -> None:
            if request.headers.get("If-None-Match") == tag:
                request.send_response(304)
                request.send_header("ETag", tag)
                request.end_headers()
            else:
                send(request, body, ETag=tag, **headers)

        self.routes[path] = answer
        return f"{self.url}{path}"


def send(
    request: BaseHTTPRequestHandler,
    body: bytes | str,
    status: int = 200,
    content_type: str = "text/html",
    **headers: str,
) -> None:
    content = body.encode() if isinstance(body, str) else body
    request.send_response(status)
    if content_type:
        request.send_header("Content-Type", content_type)
    request.send_header("Content-Length", str(len(content)))
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(content)


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A web server on 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            host = self.headers.get("Host", "")
            if path == "/robots.txt":
                server.asked_for_robots.append(host)
                answer = server.routes.get(path)
            else:
                server.requests.append((self.path, host))
                server.headers.append(self.headers)
                answer = server.routes.get(path, server.fallback)
            try:
                answer(self) if answer else send(self, "not here", 404)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the crawler had seen enough

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port = httpd.server_address[1]
    server = WebServer(f"http://127.0.0.1:{port}", port)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def on_this_machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have names, of sites that tests play, lead to the web server of the test."""

    def point(*names: str) -> None:
        real = socket.getaddrinfo

        def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
            return real("127.0.0.1" if host in names else host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    return point


@pytest.fixture
def author() -> User:
    """Whose writing is crawled."""
    return User.named("Ada Lovelace")


@pytest.fixture
def open_settings(tmp_path: Path) -> Settings:
    """Settings under which links may lead anywhere, and no browser helps."""
    return Settings(
        data_dir=tmp_path / "data",
        crawl_allow_private=True,
        crawl_allow_local=True,
        crawl_timeout_seconds=5,
        crawl_pause_seconds=0,
        crawl_browser="never",
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one commit with two files."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    commit(folder, {"main.py": "def f():\n\treturn  1\n", "docs/README.md": "# Hällo\n"})
    return folder


@pytest.fixture
def remote(web: WebServer, repository: Path, tmp_path: Path) -> str:
    """The same repository behind git's own http server; its URL."""
    bare = tmp_path / "served" / "ada" / "project.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), str(bare))
    git(bare, "config", "uploadpack.allowFilter", "true")
    backend = Path(git(tmp_path, "--exec-path")) / "git-http-backend"

    def serve(request: BaseHTTPRequestHandler) -> None:
        path, _, query = request.path.partition("?")
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        cgi = {
            "GIT_PROJECT_ROOT": str(tmp_path / "served"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": request.command,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run([backend], env={**ENVIRONMENT, **cgi}, input=body, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        request.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)

    web.fallback = serve
    return f"{web.url}/ada/project.git"
