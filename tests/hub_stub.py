"""What pushing and fetching a model need of the Hugging Face hub's HTTP API, in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_a_token_of_the_stub"


class Hub(ThreadingHTTPServer):
    """Repositories by name, each a dict of files; one revision, whose number counts commits."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.n_commits = 0
        self.n_downloads = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def commit(self) -> str:
        return hashlib.sha1(str(self.n_commits).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path)
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "Invalid username or password."}, 401)
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        name, _, action = path.removeprefix("/api/models/").partition("/preupload/")
        if action:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            return self.answer({"files": files})
        name, _, action = path.removeprefix("/api/models/").partition("/commit/")
        return self.take(name, body) if action else self.answer({"error": self.path}, 404)

    def create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        status = 409 if name in self.server.repositories else 200
        self.server.repositories.setdefault(name, {})
        if wanted.get("visibility") == "private" or wanted.get("private"):
            self.server.private.add(name)
        self.answer({"url": f"{self.server.address}/{name}", "name": name}, status)

    def take(self, name: str, body: bytes) -> None:
        for line in body.splitlines():
            item = json.loads(line)
            if item["key"] == "file":
                content = base64.b64decode(item["value"]["content"])
                self.server.repositories[name][item["value"]["path"]] = content
        self.server.n_commits += 1
        commit = self.server.commit
        url = f"{self.server.address}/{name}/commit/{commit}"
        self.answer({"commitUrl": url, "commitOid": commit, "pullRequestUrl": None})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/models/"):
            return self.describe(path.removeprefix("/api/models/"))
        name, _, rest = path.strip("/").partition("/resolve/")
        content = self.server.repositories.get(name, {}).get(rest.partition("/")[2])
        if content is None:
            return self.answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        self.server.n_downloads += self.command == "GET"
        digest = hashlib.sha1(content).hexdigest()
        self.send(content, 200, {"ETag": f'"{digest}"', "X-Repo-Commit": self.server.commit})

    def describe(self, path: str) -> None:
        name = "/".join(path.split("/")[:2])
        files = self.server.repositories.get(name)
        if files is None:
            missing = {"X-Error-Code": "RepoNotFound"}
            return self.answer({"error": "Repository not found"}, 404, missing)
        if "/tree/" in path:
            entries = [
                {"type": "file", "path": p, "size": len(c), "oid": hashlib.sha1(c).hexdigest()}
                for p, c in files.items()
            ]
            return self.answer(entries)
        siblings = [{"rfilename": p} for p in files]
        self.answer({"id": name, "modelId": name, "sha": self.server.commit, "siblings": siblings})

    def answer(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        kind = {"Content-Type": "application/json"}
        self.send(json.dumps(value).encode(), status, kind | (headers or {}))

    def send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Run a hub on loopback for as long as the block lasts."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
