"""A local HTTP server with one file and the faults of real ones."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Shop:
    """What the server offers, and what it was asked for; ``/elsewhere`` redirects to it.

    Attributes:
        body: the file.
        tag: its ETag.
        ranges: whether it resumes.
        break_after: bytes after which a connection breaks, one entry for each of the first
            connections; None for none.
        status: what the first answers are instead of the file.
        asked: the Range header of every request, "" for none.
    """

    body: bytes
    tag: str = '"one"'
    ranges: bool = True
    break_after: list[int | None] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(shop: Shop) -> Iterator[Shop]:
    """Serve the file on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            shop.asked.append(wanted)
            if self.path == "/elsewhere":
                self.send_response(302)
                self.send_header("Location", shop.url)
                self.end_headers()
                return
            if shop.status:
                self.send_error(shop.status.pop(0))
                return
            match = re.fullmatch(r"bytes=(\d+)-", wanted)
            same = self.headers.get("If-Range", shop.tag) == shop.tag
            start = int(match[1]) if match and shop.ranges and same else 0
            if start and start >= len(shop.body):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                size = len(shop.body)
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.send_header("ETag", shop.tag)
            self.send_header("Content-Length", str(len(shop.body) - start))
            self.end_headers()
            stop = shop.break_after.pop(0) if shop.break_after else None
            self.wfile.write(shop.body[start:] if stop is None else shop.body[start:][:stop])
            self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    shop.url = f"http://127.0.0.1:{server.server_port}/model.bin"
    try:
        yield shop
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
