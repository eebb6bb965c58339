"""A small Hugging Face hub on this machine: repositories in memory, and the calls that huggingface_hub makes.

Git's part is left out: a commit is a mapping from file to content. Files that end as models do lie in LFS, as
they do there, and are known by their SHA-256; the others by the SHA-1 that git gives them.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

#: Who may write, and read what is private.
TOKEN = "hf_of_these_tests"

#: What the hub keeps in LFS.
LFS = (".onnx", ".data", ".safetensors", ".bin")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@dataclass
class Repository:
    """A repository: commits, and the names that lead to them."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, files: dict[str, bytes], branch: str = "main", message: str = "") -> str:
        """Add files to a branch, and return the commit."""
        before = self.commits[self.refs[branch]] if branch in self.refs else {}
        after = before | files
        told = [len(self.commits), sorted((name, sha256(content)) for name, content in after.items())]
        commit = hashlib.sha1(json.dumps(told).encode()).hexdigest()
        self.commits[commit], self.refs[branch] = after, commit
        self.messages.append(message)
        return commit

    def resolve(self, revision: str) -> str | None:
        return self.refs.get(revision) or (revision if revision in self.commits else None)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.refs["main"]]


@dataclass
class Hub:
    """What the hub has, how it misbehaves, and what it was asked."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    lfs: dict[str, bytes] = field(default_factory=dict)
    status: int = 0  # of every answer, unless 0
    lie: dict[str, bytes] = field(default_factory=dict)  # what is sent in the place of a file's content
    spoils: bool = False  # what is uploaded, once it has arrived
    asked: list[str] = field(default_factory=list)  # method and path
    agents: set[str] = field(default_factory=set)

    def add(self, name: str, files: dict[str, bytes], **about: Any) -> Repository:
        """Make a repository with a first commit."""
        repository = self.repositories[name] = Repository(**about)
        repository.commit(files)
        return repository


class Refused(Exception):
    """An answer that is an error: status, the hub's code of it, and what people read."""


class _Handler(BaseHTTPRequestHandler):
    server: "_HTTPServer"

    def _serve(self) -> None:
        hub = self.server.hub
        length = int(self.headers.get("Content-Length", 0))
        self.body = self.rfile.read(length)  # all of it, else the next request on this line begins there
        hub.asked.append(f"{self.command} {self.path}")
        hub.agents.add(self.headers.get("User-Agent", ""))
        split = urlsplit(self.path)
        self.path_asked, self.query = unquote(split.path), parse_qs(split.query)
        try:
            if hub.status:
                raise Refused(hub.status, "", "out of order")
            for method, pattern, answer in _ROUTES:
                found = re.fullmatch(pattern, self.path_asked)
                if found and method == self.command.replace("HEAD", "GET"):
                    answer(self, **found.groupdict())
                    return
            raise Refused(404, "", f"no such call: {self.command} {self.path}")
        except Refused as refused:
            status, code, message = refused.args
            self._answer(
                status,
                json.dumps({"error": message}).encode(),
                {"X-Error-Code": code, "X-Error-Message": message} if code else {},
            )

    do_GET = do_HEAD = do_POST = do_PUT = _serve

    def _answer(self, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, content: Any) -> None:
        self._answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    @property
    def _may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _require_token(self) -> None:
        if not self._may_write:
            raise Refused(401, "", "Invalid username or password.")

    def _repository(self, name: str) -> Repository:
        repository = self.server.hub.repositories.get(name)
        if repository is None or (repository.private and not self._may_write):
            raise Refused(401 if not self._may_write else 404, "RepoNotFound", "Repository not found")
        return repository

    def _commit(self, name: str, revision: str) -> tuple[str, dict[str, bytes]]:
        repository = self._repository(name)
        commit = repository.resolve(revision)
        if commit is None:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit, repository.commits[commit]

    # Reading

    def info(self, name: str, revision: str | None = None) -> None:
        commit, files = self._commit(name, revision or "main")
        about = {"id": name, "modelId": name, "private": self._repository(name).private, "tags": []}
        self._json(about | {"sha": commit, "siblings": [_sibling(*file) for file in sorted(files.items())]})

    def tree(self, name: str, revision: str) -> None:
        _, files = self._commit(name, revision)
        self._json([_entry(*file) for file in sorted(files.items())])

    def paths_info(self, name: str, revision: str) -> None:
        _, files = self._commit(name, revision)
        wanted = parse_qs(self.body.decode())["paths"]
        self._json([_entry(file, files[file]) for file in wanted if file in files])

    def resolve(self, name: str, revision: str, file: str) -> None:
        commit, files = self._commit(name, revision)
        if self._repository(name).gated and not self._may_write:
            raise Refused(401, "GatedRepo", f"Access to model {name} is restricted.")
        if file not in files:
            raise Refused(404, "EntryNotFound", "Entry not found")
        content = files[file]
        digest = sha256(content) if file.endswith(LFS) else git_sha1(content)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{digest}"', "Accept-Ranges": "none"}
        self._answer(200, self.server.hub.lie.get(file, content), headers)

    # Writing

    def create(self) -> None:
        self._require_token()
        wanted = json.loads(self.body)
        name = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else wanted["name"]
        url = f"{self.server.hub.url}/{name}"
        if name in self.server.hub.repositories:
            known = json.dumps({"error": "You already created this model repo", "url": url})
            self._answer(409, known.encode())
            return
        # The word changed with the client's versions.
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.server.hub.add(name, {".gitattributes": b"*.onnx filter=lfs\n"}, private=private)
        self._json({"url": url, "name": name, "id": name})

    def validate(self) -> None:
        import yaml

        content = json.loads(self.body)["content"]
        head = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
        about = yaml.safe_load(head[1]) if head else None
        wrong = [] if isinstance(about, dict) and "license" in about else [{"message": "there is no license"}]
        self._json({"errors": wrong, "warnings": []})

    def preupload(self, name: str, revision: str) -> None:
        self._require_token()
        _, files = self._commit(name, revision)
        told = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LFS) else "regular",
                "shouldIgnore": False,
                "oid": _oid(file["path"], files),
            }
            for file in json.loads(self.body)["files"]
        ]
        self._json({"files": told})

    def batch(self, name: str) -> None:
        self._require_token()
        self._repository(name)
        objects = [
            {"oid": one["oid"], "size": one["size"]}
            | (
                {}
                if one["oid"] in self.server.hub.lfs
                else {"actions": {"upload": {"href": f"{self.server.hub.url}/lfs/{one['oid']}"}}}
            )
            for one in json.loads(self.body)["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        if sha256(self.body) != oid:
            raise Refused(400, "", "the content is not what its name says")
        self.server.hub.lfs[oid] = self.body[::-1] if self.server.hub.spoils else self.body
        self._answer(200)

    def commit(self, name: str, revision: str) -> None:
        self._require_token()
        self._commit(name, revision)
        files, message = {}, ""
        for line in self.body.decode().splitlines():
            what = json.loads(line)
            key, value = what["key"], what["value"]
            if key == "header":
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.server.hub.lfs[value["oid"]]
        commit = self._repository(name).commit(files, revision, message)
        self._json(
            {
                "success": True,
                "commitOid": commit,
                "commitUrl": f"{self.server.hub.url}/{name}/commit/{commit}",
            }
        )

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


_REPOSITORY = r"(?P<name>[\w.-]+/[\w.-]+)"

#: Method, path, and what answers; the first that fits does.
_ROUTES = [
    ("POST", r"/api/repos/create", _Handler.create),
    ("POST", r"/api/validate-yaml", _Handler.validate),
    ("GET", rf"/api/models/{_REPOSITORY}", _Handler.info),
    ("GET", rf"/api/models/{_REPOSITORY}/revision/(?P<revision>.+)", _Handler.info),
    ("GET", rf"/api/models/{_REPOSITORY}/tree/(?P<revision>[^/]+)", _Handler.tree),
    ("POST", rf"/api/models/{_REPOSITORY}/paths-info/(?P<revision>.+)", _Handler.paths_info),
    ("POST", rf"/api/models/{_REPOSITORY}/preupload/(?P<revision>.+)", _Handler.preupload),
    ("POST", rf"/api/models/{_REPOSITORY}/commit/(?P<revision>.+)", _Handler.commit),
    ("POST", rf"/{_REPOSITORY}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", _Handler.upload),
    ("GET", rf"/{_REPOSITORY}/resolve/(?P<revision>refs/pr/\d+|[^/]+)/(?P<file>.+)", _Handler.resolve),
]


def _oid(file: str, files: dict[str, bytes]) -> str | None:
    """What a file is known by, None where there is none yet."""
    if file not in files:
        return None
    return sha256(files[file]) if file.endswith(LFS) else git_sha1(files[file])


def _entry(file: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": file, "size": len(content), "oid": git_sha1(content)}
    return entry | (
        {"lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 130}}
        if file.endswith(LFS)
        else {}
    )


def _sibling(file: str, content: bytes) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": file, "size": len(content), "blobId": git_sha1(content)}
    return sibling | (
        {"lfs": {"sha256": sha256(content), "size": len(content), "pointerSize": 130}}
        if file.endswith(LFS)
        else {}
    )


class _HTTPServer(ThreadingHTTPServer):
    hub: Hub
    daemon_threads = True


def point_at(url: str, patch: Any) -> None:
    """Let huggingface_hub, which is loaded, ask there; a new process reads HF_ENDPOINT."""
    from huggingface_hub import constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + template)
    patch.setattr(constants, "ENDPOINT", url)


@contextmanager
def serve() -> Iterator[Hub]:
    """Serve on a free port, until the end of the block."""
    with _HTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.hub = Hub(f"http://127.0.0.1:{http.server_port}")
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield http.hub
        finally:
            http.shutdown()
            thread.join()
