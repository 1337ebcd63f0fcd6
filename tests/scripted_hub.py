"""A server that speaks the parts of the Hugging Face Hub's API that publishing uses, and keeps what it is given."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.scripted_server import JsonHandler, serving

TOKEN = "hf_of_this_test"
REPOSITORY = "ana/my-twin"


@dataclass
class Hub:
    """What a scripted Hub holds, and how it behaves.

    Attributes:
        url: For ``HF_ENDPOINT``.
        commits: The files of each commit, by name.
        tags: The number of the commit behind each tag.
        created: The bodies of requests for new repositories.
        fails: HTTP statuses by the end of a path.
    """

    url: str = ""
    commits: list[dict[str, bytes]] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    fails: dict[str, int] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)


def _oid(number: int) -> str:
    return f"{number:040x}"


@contextmanager
def scripted_hub() -> Iterator[Hub]:
    """Serve an empty Hub."""
    hub = Hub()
    api = f"/api/models/{REPOSITORY}"

    class Handler(JsonHandler):
        def do_GET(self) -> None:  # noqa: N802 - http.server's name
            if self.refused():
                return
            if self.path.startswith(f"{api}/refs"):
                tags = [
                    {"name": name, "ref": f"refs/tags/{name}", "targetCommit": _oid(at)}
                    for name, at in hub.tags.items()
                ]
                self.answer(200, {"branches": [], "converts": [], "tags": tags})
            elif self.path.startswith(api) and hub.created:
                self.answer(200, {"id": REPOSITORY, "sha": _oid(len(hub.commits)), "siblings": []})
            else:
                self.answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})

        def do_PUT(self) -> None:  # noqa: N802 - http.server's name
            content = self.body()
            hub.objects[hashlib.sha256(content).hexdigest()] = content
            self.answer(200, {})

        def do_POST(self) -> None:  # noqa: N802 - http.server's name
            body = self.body()
            if self.refused():
                return
            if self.path == "/api/repos/create":
                status = 409 if hub.created else 200
                hub.created.append(json.loads(body))
                self.answer(status, {"url": f"{hub.url}/{REPOSITORY}"})
            elif self.path == "/api/validate-yaml":
                self.answer(200, {"errors": [], "warnings": []})
            elif self.path.startswith(f"{api}/preupload/main"):
                files = json.loads(body)["files"]
                self.answer(200, {"files": [self.mode(file["path"]) for file in files]})
            elif self.path == f"/{REPOSITORY}.git/info/lfs/objects/batch":
                self.answer(200, {"objects": [self.upload(one) for one in json.loads(body)["objects"]]})
            elif self.path.startswith(f"{api}/commit/main"):
                self.commit([json.loads(line) for line in body.splitlines()])
            elif self.path.startswith(f"{api}/tag/"):
                hub.tags[json.loads(body)["tag"]] = int(self.path.rpartition("/")[2], 16)
                self.answer(200, {})
            elif self.path.startswith(f"{api}/paths-info/"):
                self.paths_info(hub.commits[hub.tags[self.path.rpartition("/")[2]] - 1], body)
            else:
                self.answer(404, {"error": f"there is no {self.path}"})

        def refused(self) -> bool:
            path = urlsplit(self.path).path
            status = next((status for end, status in hub.fails.items() if path.endswith(end)), None)
            if self.headers.get("authorization") != f"Bearer {TOKEN}":
                status = 401
            if status is not None:
                self.answer(status, {"error": f"scripted {status}"})
            return status is not None

        def mode(self, path: str) -> dict[str, Any]:
            return {
                "path": path,
                "uploadMode": "lfs" if path.endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }

        def upload(self, wanted: dict[str, Any]) -> dict[str, Any]:
            if wanted["oid"] in hub.objects:
                return wanted
            return {**wanted, "actions": {"upload": {"href": f"{hub.url}/objects/{wanted['oid']}"}}}

        def commit(self, lines: list[dict[str, Any]]) -> None:
            files = {}
            for line in lines:
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = hub.objects[value["oid"]]
            hub.commits.append(files)
            oid = _oid(len(hub.commits))
            self.answer(200, {"commitUrl": f"{hub.url}/{REPOSITORY}/commit/{oid}", "commitOid": oid})

        def paths_info(self, files: dict[str, bytes], body: bytes) -> None:
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode())["paths"]
            self.answer(
                200,
                [
                    {
                        "type": "file",
                        "path": path,
                        "size": len(files[path]),
                        "oid": _oid(0),
                        "lfs": {
                            "oid": hashlib.sha256(files[path]).hexdigest(),
                            "size": len(files[path]),
                            "pointerSize": 130,
                        },
                    }
                    for path in wanted
                ],
            )

        def body(self) -> bytes:
            if self.headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content

    with serving(Handler) as hub.url:
        yield hub
