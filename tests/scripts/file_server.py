"""An HTTP server on this machine that serves a folder, byte ranges too, and can break off like a real one."""

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path


class Server(http.server.ThreadingHTTPServer):
    """`requests` records (file, first byte asked for); `break_after` ends an answer after so many bytes."""

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[tuple[str, int]] = []
        self.break_after: list[int] = []
        self.ranges = True


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.server.folder / self.path.split("?")[0].lstrip("/")
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.server.ranges else 0
        self.server.requests.append((path.name, start))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        count = self.server.break_after.pop(0) if self.server.break_after else len(content)
        with contextlib.suppress(ConnectionError):  # who only asks for the size hangs up
            self.wfile.write(content[start : start + count])

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Serves `folder` at `server.address` while the block runs."""
    with Server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
