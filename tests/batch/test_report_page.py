"""The report in a browser: it plays, compares, and asks for nothing outside of its folder."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from .fake import clean
from .pages import REPORT
from .test_report import HOSTILE

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
NAME = f"{HOSTILE}.mp4"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as tools:
        try:
            chromium = tools.chromium.launch(
                executable_path=CHROMIUM,
                args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
            )
        except playwright.Error as error:
            pytest.skip(f"Chromium does not start: {error}")
        yield chromium
        chromium.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A report with names of all kinds, moved to another place, and sounds that play."""
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / NAME).write_text("voices 2")
    (source / "bad.mp4").write_text("refuse")
    clean(source, output, originals=True)
    tone = 0.1 * np.sin(np.arange(8000 * 20))
    for path in [*output.glob("*.wav"), *output.glob("*/*.m4a")]:
        soundfile.write(path, tone, 8000, format="WAV")
    moved = tmp_path / "some where#else"
    shutil.move(output, moved)
    return moved


@pytest.fixture(params=["file", "server"])
def address(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    if request.param == "file":
        yield (folder / REPORT).as_uri()
        return

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    serve = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{REPORT}"
        server.shutdown()
        thread.join()


def until(page: Any, player: Any, state: str) -> None:
    """Wait for it; the page's policy keeps Playwright from waiting by itself."""
    for _ in range(200):
        if player.evaluate(f"player => {state}"):
            return
        page.wait_for_timeout(50)
    raise AssertionError(state)


def test_it_plays_and_compares_at_the_same_place(browser: Any, address: str) -> None:
    asked: list[str] = []
    troubles: list[object] = []
    page = browser.new_page(viewport={"width": 420, "height": 800})
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(error))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.goto(address)
    assert len(asked) == 1  # nothing is loaded before it is played
    assert page.evaluate("document.documentElement.scrollWidth") == 420

    before, first, second = (page.locator("audio").nth(n) for n in range(3))
    first.evaluate("player => player.play()")
    until(page, first, "player.currentTime > 1")
    page.keyboard.press("a")
    until(page, before, "!player.paused && player.currentTime > 1")
    assert first.evaluate("player => player.paused")
    assert before.evaluate("player => player.currentTime") < 5
    button = page.get_by_role("button", name="Back to this file")
    assert button.count() == 1
    button.click()
    until(page, first, "!player.paused")
    assert first.evaluate("player => player.currentTime") > 1
    assert before.evaluate("player => player.paused")

    second.evaluate("player => player.play()")
    until(page, second, "player.currentTime > 0.1")
    assert first.evaluate("player => player.paused")

    page.fill("#search", "JAVASCRIPT")
    assert page.locator("article:visible").count() == 1
    page.fill("#search", "bad")
    assert page.locator("article:visible").count() == 0
    assert page.get_by_text("What to do: Show one.").is_visible()

    root = address.removesuffix(REPORT)
    assert len(asked) >= 4
    assert all(url.removeprefix("blob:").startswith(root) for url in asked)
    assert troubles == []
    page.close()


def test_what_cannot_be_played_says_so(browser: Any, folder: Path) -> None:
    for path in folder.glob("*.1.wav"):
        path.write_bytes(b"no sound")
    page = browser.new_page()
    page.goto((folder / REPORT).as_uri())
    page.locator("audio").nth(1).evaluate("player => { player.play().catch(() => 0); }")
    page.get_by_text("This browser cannot play the file.").wait_for()
    assert page.get_by_text("This browser cannot play the file.").count() == 1
    page.close()
