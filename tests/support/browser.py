"""A real browser without a window, driven as a person would: looking for texts, clicking, typing.

Speaks the Chrome DevTools Protocol (https://chromedevtools.github.io/devtools-protocol/) with a Chromium on this
machine.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tools.airflow_local import wait_until

__all__ = ["Browser", "browser", "find_browser"]

_ANSWER_SECONDS = 30.0

# The place of a visible element whose text, label or name is the given text, and that nothing covers, as a dialog may
# cover the page. The last one in the page wins.
_FIND = """
(text, kind) => {
  const found = [...document.querySelectorAll(kind)].filter((element) => {
    const box = element.getBoundingClientRect();
    const names = [element.innerText, element.getAttribute('aria-label'), element.title, element.name];
    return box.width > 0 && box.height > 0 && !element.disabled && names.some((name) => name && name.trim() === text);
  });
  for (const element of found.reverse()) {
    element.scrollIntoView({block: 'center', behavior: 'instant'});
    const box = element.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const hit = document.elementFromPoint(x, y);
    if (hit && element.contains(hit)) return [x, y];
  }
  return null;
}
"""


def find_browser() -> str | None:
    """The path of a Chromium or Chrome, or `None`."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One tab. Get one from `browser`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count(1)
        self._session: str | None = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def _call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._connection.send(json.dumps(message))
        while True:
            answer = json.loads(self._connection.recv(timeout=_ANSWER_SECONDS))
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is there and not the one before."""
        self.evaluate("window.isLeaving = true")
        self._call("Page.navigate", url=url)
        wait_until(
            lambda: self.evaluate("!window.isLeaving && document.readyState === 'complete'"), timeout=60, what=url
        )

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    @property
    def text(self) -> str:
        """Everything that can be read on the page."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def wait_for_text(self, text: str, *, timeout: float = 60.0) -> None:
        """Wait until the page shows a text."""
        wait_until(
            lambda: text in self.text, timeout=timeout, what=lambda: f"{text!r} in the page:\n{self.text[:3000]}"
        )

    def click(self, text: str, *, kind: str = "button, a, [role=tab], [role=menuitem]", timeout: float = 60.0) -> None:
        """Wait for an element with exactly this text, label or title, and click on it with the mouse."""
        expression = f"({_FIND})({json.dumps(text)}, {json.dumps(kind)})"
        seen: list[object] = []

        def at_rest() -> Any:
            # What still moves would not be where the mouse goes.
            seen.append(self.evaluate(expression))
            return seen[-1] if seen[-1] is not None and seen[-2:] == [seen[-1]] * 2 else None

        x, y = wait_until(
            at_rest,
            timeout=timeout,
            what=lambda: f"an element {text!r} to click on; the page:\n{self.text[:3000]}",
        )
        for what in ("mouseMoved", "mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=what, x=x, y=y, button="left", clickCount=1)

    def fill(self, name: str, value: str) -> None:
        """Click into the input field of this name and type."""
        self.click(name, kind="input, textarea")
        self._call("Input.insertText", text=value)

    def screenshot(self, path: Path, *, width: int, height: int) -> None:
        """Save what is visible in a window of this size as PNG."""
        self.resize(width, height)
        data = self._call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def resize(self, width: int, height: int) -> None:
        """Make the window this large, in pixels."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with a fresh profile in `folder`, ended with all its processes."""
    executable = find_browser()
    assert executable is not None, "there is no Chromium on this machine"
    process = subprocess.Popen(
        [
            executable,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "about:blank",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = folder / "DevToolsActivePort"
        wait_until(lambda: address.is_file() and address.read_text().count("\n"), timeout=60, what="the browser")
        port, path = address.read_text().split()
        with connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None) as connection:
            tab = Browser(connection)
            tab.resize(1400, 900)
            yield tab
            tab._session = None  # noqa: SLF001 - the last message goes to the browser, not to the tab
            tab._call("Browser.close")  # noqa: SLF001 - see above
        process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
