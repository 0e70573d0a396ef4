"""A headless Chromium that a test drives over a pipe, by the Chrome DevTools Protocol."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chromium-headless-shell")
SETTLE_EXPRESSIONS = 200


def executable() -> str | None:
    """Return the path of a Chromium, None where none is installed."""
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


class Browser:
    """One page. `problems` are errors and warnings that it has logged, exceptions, and addresses that it asked for
    beside its own file."""

    def __init__(self, sending: int, receiving: int) -> None:
        self.problems: list[str] = []
        self._sending = sending
        self._receiving = os.fdopen(receiving, "rb")
        self._ids = itertools.count(1)
        self._session: str | None = None
        self._loaded = 0
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        """Send a command and return its result."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._sending, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def open(self, file: Path, hash: str = "") -> None:
        """Load a file, and wait until its script has done its work."""
        self.problems.clear()
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=f"{file.as_uri()}{hash}")
        self.until("document.body !== null && document.body.dataset.ready === 'yes'")

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited."""
        found = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, f"{expression}: {found.get('exceptionDetails')}"
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait for an expression to become true; each try lets the page draw a frame."""
        frame = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 5)))"
        for _ in range(SETTLE_EXPRESSIONS):
            if self.value(expression):
                return
            self.value(frame)
        raise AssertionError(f"{expression} did not become true; {self.problems}")

    def look(self, width: int, *, is_dark: bool = False, media: str = "screen", height: int = 900) -> None:
        """Show the page at this width, light or dark."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def click(self, selector: str) -> None:
        """Click where an element is, as a hand does."""
        quoted = json.dumps(selector)
        self.value(f"document.querySelector({quoted}).scrollIntoView({{block: 'center'}})")
        box = self.value(
            f"(() => {{const b = document.querySelector({quoted}).getBoundingClientRect(); "
            "return {x: b.x + b.width / 2, y: b.y + b.height / 2}})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **box)

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=key, **text)

    def screenshot(self, file: Path, *, is_whole: bool = False) -> None:
        picture = self.send("Page.captureScreenshot", captureBeyondViewport=is_whole)
        file.write_bytes(base64.b64decode(picture["data"]))

    def _receive(self) -> Any:
        letters = bytearray()
        while (letter := self._receiving.read(1)) != b"\0":
            assert letter, "the browser has gone"
            letters += letter
        message = json.loads(letters)
        self._note(message)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.problems.append(json.dumps(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.problems.append(json.dumps(params["entry"]))
            case "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith(("file:", "data:", "blob:")):
                    self.problems.append(f"asked for {url}")


_ON_3_AND_4 = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads its commands from descriptor 3 and answers on 4."""


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    """Start the Chromium at `path`, with a profile of its own that is gone afterwards."""
    from_test, to_browser = os.pipe()
    from_browser, to_test = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # Its own sandbox refuses to run as root, as in a container; the page is ours.
        flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars")
        command = [path, *flags, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        process = subprocess.Popen(
            [sys.executable, "-c", _ON_3_AND_4, str(from_test), str(to_test), *command],
            pass_fds=(from_test, to_test),
            stderr=subprocess.DEVNULL,
        )
        os.close(from_test)
        os.close(to_test)
        try:
            yield Browser(to_browser, from_browser)
        finally:
            process.kill()
            process.wait()
            os.close(to_browser)
