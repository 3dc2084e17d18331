"""The example of `solver.notify_command`, with a messenger on this machine."""

import http.server
import json
import logging
import sys
import threading
from collections.abc import Iterator

import pytest

from ascendcv.runner.hooks.hook import Hook
from ascendcv.runner.hooks.notify import Notify
from tests.support import PROJECT

COMMAND = f"'{sys.executable}' '{PROJECT / 'examples/notify_messenger.py'}'"


class Line(Hook):
    """What `Epochs` is for `Notify`."""

    line = "Epoch:3, step:600, lr:0.00040000, loss:0.01234, elapsed:1:02:03"


@pytest.fixture
def messenger() -> Iterator[tuple[str, list]]:
    """Its address, and what it was told: (path, headers, message)."""
    told: list = []

    class Messenger(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(200 if self.path == "/api" else 403)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Messenger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    thread.join()
    server.server_close()


def tell(caplog) -> str:
    """What a run logs when the command has been called at the end of an epoch."""
    with caplog.at_level(logging.WARNING):
        Notify(COMMAND, Line()).after_batch(None)
    return caplog.text


def test_the_line_is_posted_with_the_token(messenger, monkeypatch, caplog):
    address, told = messenger
    monkeypatch.setenv("MESSENGER_URL", f"{address}/api")
    monkeypatch.setenv("MESSENGER_TOKEN", "secret")
    monkeypatch.setenv("MESSENGER_CHANNEL", "training")
    assert tell(caplog) == ""
    ((_, headers, message),) = told
    assert headers["Authorization"] == "Bearer secret"
    assert message == {"text": Line.line, "channel": "training"}


def test_training_goes_on_without_a_token_and_where_the_messenger_refuses(messenger, monkeypatch, caplog):
    address, told = messenger
    monkeypatch.delenv("MESSENGER_TOKEN", raising=False)
    monkeypatch.setenv("MESSENGER_URL", f"{address}/other")
    assert "set MESSENGER_TOKEN in the environment" in tell(caplog)
    assert not told
    monkeypatch.setenv("MESSENGER_TOKEN", "secret")
    assert "did not take it: HTTP Error 403" in tell(caplog)
