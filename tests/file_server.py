"""A server of files on this machine that cuts, refuses and lies as a test tells it."""

import io
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


@dataclass
class Server:
    """What the server has, how it misbehaves, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    tag: str = ""
    cuts: list[int] = field(default_factory=list)  # bytes after which the next answers end
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # status and headers of the next
    asked: list[tuple[str, str]] = field(default_factory=list)  # path and Range

    @property
    def ranges_asked(self) -> list[str]:
        return [asked for _, asked in self.asked]


class _Handler(BaseHTTPRequestHandler):
    server: "_HTTPServer"

    def do_GET(self) -> None:
        has = self.server.has
        path, _, _ = self.path.partition("?")
        asked = self.headers.get("Range", "")
        has.asked.append((self.path, asked))
        if has.refusals:
            self._answer(*has.refusals.pop(0))
            return
        if path not in has.files:
            self._answer(404, {})
            return
        content, start = has.files[path], 0
        current = self.headers.get("If-Range", has.tag) == has.tag
        if has.ranges and asked and current:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self._answer(416, {"Content-Range": f"bytes */{len(content)}"})
                return
        headers = {"Content-Length": str(len(content) - start)} | ({"ETag": has.tag} if has.tag else {})
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(206 if start else 200, headers)
        self.wfile.write(content[start:][: has.cuts.pop(0) if has.cuts else None])

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


class _HTTPServer(ThreadingHTTPServer):
    has: Server
    daemon_threads = True


@contextmanager
def serve() -> Iterator[Server]:
    """Serve on a free port, until the end of the block."""
    with _HTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.has = Server(f"http://127.0.0.1:{http.server_port}")
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield http.has
        http.shutdown()
        thread.join()


def make_zip(entries: dict[str, bytes], **links: str) -> bytes:
    """Make an archive of files and symbolic links."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        for name, target in links.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, target)
    return buffer.getvalue()


def names_in(folder: Path) -> list[str]:
    """All files under a folder, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
