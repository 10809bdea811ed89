"""A small HTTP server on this machine that delivers files well, badly, or not at all.

It stands for the providers: `server.pages["name"] = Page(...)` says how it answers for
`server.url("name")`, and `server.requests` says what it was asked. The fixture `server` stands in
conftest.py.
"""

import gzip
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

# A gzip file of 60 kB whose bytes do not compress further.
CONTENT = gzip.compress(random.Random(0).randbytes(60_000), mtime=0)


@dataclass
class Request:
    """What the server was asked. `path` has no query; `query` holds its values as strings."""

    method: str
    path: str
    query: dict[str, str]
    range: str | None  # such as "bytes=20000-"
    body: bytes
    sent: int = 0  # bytes of the answer's body that were sent


@dataclass
class Page:
    """How the server answers for one name.

    body : the file, or a function of the request that returns it (or another Page)
    status : of every answer after those of `first_statuses`; a body goes with every status
    first_statuses : of the first answers, such as [503, 503]; their body is "try again later"
    ranges : whether "Range: bytes=n-" is honoured (206) or ignored (200 and the whole file)
    cut_after : bytes after which the first, second … connection is cut; later ones are whole
    etag, modified : the headers ETag and Last-Modified, "" for none; another version has another
    head : whether HEAD is answered; 405 otherwise
    location : where a redirect (status 301, 302 …) leads
    content_type : the header Content-Type, "" for none
    length : whether Content-Length is sent; the end of the connection ends the body otherwise
    pause : seconds before every 4 kB, for a transfer that is to be interrupted
    """

    body: bytes | Callable[[Request], "bytes | Page"] = CONTENT
    status: int = 200
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    etag: str = '"one"'
    head: bool = True
    location: str = ""
    first_statuses: list[int] = field(default_factory=list)
    content_type: str = "application/octet-stream"
    modified: str = ""
    length: bool = True
    pause: float = 0.0


def json_page(content: object, **options: object) -> Page:
    """Return a page that answers with JSON, as the programming interfaces of providers do."""
    return Page(json.dumps(content).encode(), content_type="application/json", **options)


class Server(ThreadingHTTPServer):
    """pages : {name: Page}; a name is a path without its first slash and without a query."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Page] = {}
        self.requests: list[Request] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"

    def asked(self, name: str = "", method: str = "GET") -> list[Request]:
        """Return the requests of one method, for one name or for all."""
        return [r for r in self.requests if r.method == method and (not name or r.path == name)]

    @property
    def ranges_asked(self) -> list[str | None]:
        """The Range header of every GET, None where the whole file was asked for."""
        return [request.range for request in self.asked()]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        _, page = self._request("HEAD")
        self._start(page, page.status if page.head else 405, len(page.body))

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _request(self, method: str) -> tuple[Request, Page]:
        parts = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(method, parts.path[1:], query, self.headers.get("Range"), body)
        self.server.requests.append(request)
        missing = Page(b"no such file", 404, content_type="text/plain")
        page = self.server.pages.get(request.path, missing)
        if callable(page.body):
            answer = page.body(request)
            page = answer if isinstance(answer, Page) else replace(page, body=answer)
        return request, page

    def _answer(self, method: str) -> None:
        request, page = self._request(method)
        if page.first_statuses:
            later = Page(b"try again later", page.first_statuses.pop(0), content_type="text/plain")
            self._start(later, later.status, len(later.body))
            self.wfile.write(later.body)
            return
        whole = page.body
        asked = re.fullmatch(r"bytes=(\d+)-", request.range or "")
        start = int(asked[1]) if asked and page.ranges and page.status == 200 else 0
        if start and start >= len(whole):
            self._start(page, 416, 0)
            return
        body = whole[start:]
        self._start(page, 206 if start else page.status, len(body), start)
        if page.cut_after:
            body = body[: page.cut_after.pop(0)]
            self.close_connection = True
        for at in range(0, len(body), 4096):
            time.sleep(page.pause)
            try:
                self.wfile.write(body[at : at + 4096])
            except OSError:  # the other side was killed
                self.close_connection = True
                return
            request.sent += len(body[at : at + 4096])

    def _start(self, page: Page, status: int, length: int, start: int = 0) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": page.content_type,
            "Location": page.location,
            "ETag": page.etag,
            "Last-Modified": page.modified,
            "Content-Length": str(length) if page.length or status != 200 else "",
            "Content-Range": f"bytes {start}-{start + length - 1}/{start + length}"
            if status == 206
            else "",
        }
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()


@contextmanager
def running() -> Iterator[Server]:
    """Serve until the block ends."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
