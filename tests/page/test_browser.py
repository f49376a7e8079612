"""A real browser plays what the server gives it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from avse.media import probe
from avse.page.proxy import PROXY_TYPE, media_type

from ..media.media_files import Picture, Sound, write_media
from .conftest import Served

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"

PAGE = """<!doctype html>
<title>page</title>
<link rel="icon" href="data:,">
<script type="module" src="/static/player.js"></script>
<video muted></video>
"""
PLAYER = """
window.gray = async (video, time) => {
  const seeked = new Promise((done) => video.addEventListener("seeked", done, { once: true }));
  // "seeked" may come before the picture does; no picture comes where it stays the same one.
  const shown = new Promise((done) => video.requestVideoFrameCallback(done));
  video.currentTime = time;
  await seeked;
  await Promise.race([shown, new Promise((done) => setTimeout(done, 1000))]);
  const canvas = new OffscreenCanvas(4, 4);
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 4, 4);
  return context.getImageData(1, 1, 1, 1).data[1];
};
window.ranges = ({ buffered }) =>
  Array.from({ length: buffered.length }, (_, n) => [buffered.start(n), buffered.end(n)]);
window.assemble = async (type) => {
  const video = document.querySelector("video");
  const source = new MediaSource();
  const opened = new Promise((done) => source.addEventListener("sourceopen", done));
  video.src = URL.createObjectURL(source);
  await opened;
  const buffer = source.addSourceBuffer(type);
  source.duration = 22;
  window.append = async (number) => {
    const answer = await fetch(`/proxy/${number}.mp4?height=240`);
    if (!answer.ok) return answer.status;
    const data = await answer.arrayBuffer();
    const ended = new Promise((done, fail) => {
      buffer.addEventListener("updateend", done, { once: true });
      buffer.addEventListener("error", fail, { once: true });
    });
    buffer.appendBuffer(data);
    await ended;
    return answer.status;
  };
};
"""


class Seconds(Picture):
    """Each second is brighter than the one before."""

    def images(self) -> Iterable[np.ndarray]:
        for n in range(self.frames):
            second = int(n / self.rate)
            yield np.full((self.height, self.width, 3), 20 + 9 * second, np.uint8)


@pytest.fixture
def tab(served: Served) -> Iterator[Any]:
    """A tab of Chromium with the page open; it may ask nobody but this server."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium here")
    asked = []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.goto(served.server.address)
            yield page
        finally:
            browser.close()
    assert {urlsplit(url).netloc for url in asked if not url.startswith("blob:")} == {
        f"127.0.0.1:{served.port}"
    }


@pytest.fixture
def static(static: Path) -> Path:
    (static / "index.html").write_text(PAGE, encoding="utf-8")
    (static / "player.js").write_text(PLAYER, encoding="utf-8")
    return static


def test_segments_play_where_they_belong(served: Served, tab: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    served.session.path = write_media(path, Seconds("mpeg4", frames=550), Sound("mp3"))
    assert tab.url == f"http://127.0.0.1:{served.port}/"
    assert tab.evaluate(f"MediaSource.isTypeSupported('{PROXY_TYPE}')")
    tab.evaluate(f"assemble('{PROXY_TYPE}')")
    assert [tab.evaluate(f"append({number})") for number in (3, 0, 1)] == [200, 200, 200]
    ranges = tab.evaluate("ranges(document.querySelector('video'))")
    assert ranges == [pytest.approx([0, 8], abs=0.01), pytest.approx([12, 16], abs=0.01)]
    assert [tab.evaluate(f"append({number})") for number in (5, 4, 2, 6)] == [200, 200, 200, 404]
    (whole,) = tab.evaluate("ranges(document.querySelector('video'))")
    assert whole == pytest.approx([0, 22], abs=0.01)
    for time in (13.5, 0.02, 3.98, 4.0, 8.5, 21.9):
        gray = tab.evaluate(f"gray(document.querySelector('video'), {time})")
        assert gray == pytest.approx(20 + 9 * int(time), abs=4), time
    # It plays over the edge of two segments.
    played = tab.evaluate(
        """async () => {
          const video = document.querySelector("video");
          await gray(video, 7.6);
          await video.play();
          await new Promise((done) => {
            video.addEventListener("timeupdate", () => video.currentTime > 8.4 && done());
          });
          return video.getVideoPlaybackQuality().totalVideoFrames;
        }"""
    )
    assert played > 5


def test_what_is_left_to_the_browser_plays(served: Served, tab: Any, tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mov", Seconds(frames=150), Sound("pcm_s16le"))
    kind = media_type(probe(path))
    assert kind is not None
    served.session.path = path
    assert tab.evaluate(f"document.createElement('video').canPlayType('{kind}')") == "probably"
    tab.evaluate("document.querySelector('video').src = '/media'")
    assert tab.evaluate("gray(document.querySelector('video'), 4.5)") == pytest.approx(56, abs=4)


def test_a_tab_hears_of_events(served: Served, tab: Any) -> None:
    tab.evaluate(
        """() => {
          window.events = new EventSource("/api/events");
          const next = (name) => new Promise((done) => {
            events.addEventListener(name, (event) => done(JSON.parse(event.data)));
          });
          window.heard = { state: next("state"), faces: next("faces") };
        }"""
    )
    assert tab.evaluate("() => heard.state") == served.session.state()
    served.session.tell("faces", {"chunk": 1, "version": 2})
    assert tab.evaluate("() => heard.faces") == {"chunk": 1, "version": 2}


def test_the_policy_stops_scripts_in_the_page_and_other_servers(served: Served, tab: Any) -> None:
    ran = tab.evaluate(
        """async () => {
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          const fetched = await fetch("http://localhost:9/").then(() => true, () => false);
          return [window.ran === true, fetched];
        }"""
    )
    assert ran == [False, False]
