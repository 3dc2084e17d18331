"""A headless Chromium for tests of pages, spoken to through a pipe by the DevTools protocol."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 120.0  # seconds for one answer


def find_browser() -> str | None:
    """The first Chromium on PATH."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Browser:
    """A context manager: one page in a browser of its own, whose profile lies in `folder`."""

    def __init__(self, folder: Path, width: int = 1280, height: int = 900):
        self._folder, self._size = folder, (width, height)
        self._numbers = itertools.count(1)
        self._received = b""
        self.problems: list[dict] = []  # exceptions of the page, and what its security policy refused
        self.requests: list[str] = []  # addresses that the page asked for

    def __enter__(self) -> "Browser":
        read_commands, self._commands = os.pipe()
        self._answers, write_answers = os.pipe()
        width, height = self._size
        # The browser reads commands from descriptor 3 and answers on 4.
        script = f'exec "$0" "$@" 3<&{read_commands} 4>&{write_answers}'
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            "--hide-scrollbars",
        ]
        options += [f"--user-data-dir={self._folder}", f"--window-size={width},{height}", "--disable-dev-shm-usage"]
        self._process = subprocess.Popen(
            ["bash", "-c", script, find_browser(), *options, "about:blank"],
            pass_fds=(read_commands, write_answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_commands)
        os.close(write_answers)
        self._session = None
        page = next(each for each in self.call("Target.getTargets")["targetInfos"] if each["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command of the protocol; its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = memoryview(json.dumps(message).encode() + b"\0")
        while data:
            data = data[os.write(self._commands, data) :]
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def open(self, path: Path) -> None:
        """Shows a file and waits until it is loaded."""
        self.call("Page.navigate", url=path.as_uri())
        end = time.monotonic() + PATIENCE
        while self.evaluate("document.readyState") != "complete":
            assert time.monotonic() < end, f"{path} is not loaded after {PATIENCE} s"
            time.sleep(0.05)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, a promise's when it is there."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def emulate(self, *, width: int, height: int, scheme: str = "light", touch: bool = False) -> None:
        """A screen of this size in CSS pixels, 'light' or 'dark'."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.settle()

    def settle(self) -> None:
        """Waits until the page has been drawn as it is now."""
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")

    def hover(self, point: tuple[float, float]) -> None:
        """Moves the mouse there, without a button."""
        self._mouse("mouseMoved", point)

    def drag(self, begin: tuple[float, float], end: tuple[float, float], steps: int = 5) -> None:
        """Presses the mouse button at `begin`, moves to `end`, lets go."""
        moved = [_between(begin, end, step / steps) for step in range(steps + 1)]
        self._mouse("mousePressed", moved[0], button="left", clickCount=1)
        for point in moved[1:]:
            self._mouse("mouseMoved", point, button="left", buttons=1)
        self._mouse("mouseReleased", moved[-1], button="left", clickCount=1)

    def swipe(self, begin: list[tuple[float, float]], end: list[tuple[float, float]], steps: int = 5) -> None:
        """As many fingers as there are points, from `begin` to `end`."""
        self._touch("touchStart", begin)
        for step in range(1, steps + 1):
            self._touch("touchMove", [_between(a, b, step / steps) for a, b in zip(begin, end, strict=True)])
        self._touch("touchEnd", [])

    def wheel(self, point: tuple[float, float], delta: float) -> None:
        """Turns the mouse wheel: up is negative."""
        self._mouse("mouseWheel", point, deltaX=0, deltaY=delta)

    def press(self, key: str) -> None:
        """One key, by its name in JavaScript's `KeyboardEvent.key`."""
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def screenshot(self, path: Path | None = None, *, whole: bool = False) -> bytes:
        """The picture of the window, or of the whole page, as PNG."""
        options = {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            options = {"captureBeyondViewport": True, "clip": {**size, "scale": 1}}
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png", **options)["data"])
        if path is not None:
            path.write_bytes(data)
        return data

    def _mouse(self, kind: str, point: tuple[float, float], **options: object) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=point[0], y=point[1], **options)

    def _touch(self, kind: str, points: list[tuple[float, float]]) -> None:
        touched = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self.call("Input.dispatchTouchEvent", type=kind, touchPoints=touched)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE)
            assert ready, f"the browser says nothing for {PATIENCE} s"
            data = os.read(self._answers, 1 << 20)
            assert data, f"the browser has ended with status {self._process.poll()}"
            self._received += data
        message, self._received = self._received.split(b"\0", 1)
        answer = json.loads(message)
        if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.problems.append(answer["params"])
        elif answer.get("method") == "Network.requestWillBeSent":
            self.requests.append(answer["params"]["request"]["url"])
        return answer


def _between(a: tuple[float, float], b: tuple[float, float], part: float) -> tuple[float, float]:
    return a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part
