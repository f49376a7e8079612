"""The whole of `avse open` on the example: a real browser, real faces, the shipped weights."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import avse
from avse.media import AudioReader
from avse.page.server import Page
from avse.page.serving import Server, bind
from avse.page.session import RecordingSession, open_recording
from avse.page.words import open_recogniser
from avse.settings import Settings
from tests.conftest import EXAMPLES

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install playwright"
)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


class Visit:
    """A tab, the session behind it, and what comes out of the speakers."""

    def __init__(self, page: Any, session: RecordingSession, address: str) -> None:
        self.page, self.session, self.address = page, session, address
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console", lambda told: self.errors.append(told.text) if told.type == "error" else None
        )
        page.on("request", lambda request: self.requests.append(request.url))

    def until(self, what: Callable[[], Any], seconds: float = 60.0) -> Any:
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, "it did not happen"
            self.page.wait_for_timeout(50)
        return found

    def voices(self) -> tuple[float, float]:
        """Level in dB of each true voice in what was heard last, re its level in the recording."""
        script = "String.fromCharCode(...new Uint16Array(avse.recent().buffer))"
        pairs = self.page.evaluate(script)
        heard = np.array([ord(pair) for pair in pairs], "<u2").view("<f4").astype(np.float64)
        truth = np.stack(
            [soundfile.read(EXAMPLES / f"duet.{n}.flac", dtype="float64")[0] for n in (1, 2)]
        )
        # Where in the recording that was: where the two voices explain most of it.
        size = 1 << int(np.ceil(np.log2(truth.shape[-1] + len(heard))))
        spectrum = np.conj(np.fft.rfft(heard, size))
        match = sum(np.abs(np.fft.irfft(np.fft.rfft(voice, size) * spectrum)) for voice in truth)
        place = int(np.argmax(match[: truth.shape[-1] - len(heard)]))
        here = truth[:, place : place + len(heard)]
        gains = np.linalg.lstsq(here.T, heard, rcond=None)[0]
        left, right = (20 * np.log10(abs(gain) + 1e-6) for gain in gains)
        return float(left), float(right)

    def play_from(self, key: str = "Home") -> None:
        """Play the beginning, until the analysers are full of it."""
        self.page.locator("#lanes").focus()
        self.page.keyboard.press(key)
        if not self.page.evaluate("avse.state().playing"):
            self.page.locator("#play").click()
        self.until(lambda: self.page.evaluate("avse.state().running && avse.time() > 1.8"))

    def loudness(self, seconds: float) -> tuple[float, float]:
        """Levels in dB of the result and of the original, on average over some seconds."""
        powers = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            levels = self.page.evaluate("avse.levels()")
            powers.append([10 ** (levels[bus] / 10) for bus in ("result", "original")])
            self.page.wait_for_timeout(50)
        result, original = 10 * np.log10(np.mean(powers, axis=0))
        return float(result), float(original)

    def drift_ms(self) -> float:
        """How far the picture is ahead of the sound: the median, as a busy machine delays some."""
        drifts = []
        for _ in range(9):
            drifts.append(self.page.evaluate("avse.drift_ms()"))
            self.page.wait_for_timeout(50)
        return float(np.median(drifts))

    def click_face(self, person: int) -> None:
        box = self.page.locator(f'.face[data-person="{person}"]').bounding_box()
        self.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


@pytest.fixture(scope="module")
def duet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("duet") / "duet.mp4"
    shutil.copy(EXAMPLES / "duet.mp4", path)
    return path


@contextmanager
def visiting(path: Path, transcribe: str | None = None) -> Iterator[Visit]:
    recogniser = transcribe and open_recogniser(transcribe, option="--transcribe")
    session = open_recording(path, Settings(), recogniser or None)
    page = Page(lambda path: open_recording(path, Settings()), session)
    started = threading.Event()
    with bind() as bound:
        server = Server(page, bound, ready=lambda address: started.set())
        thread = threading.Thread(target=server.serve_until_stopped)
        thread.start()
        assert started.wait(10)
        try:
            with playwright.sync_playwright() as driver:
                arguments = ["--autoplay-policy=no-user-gesture-required", "--no-sandbox"]
                browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
                tab = browser.new_page(viewport={"width": 1200, "height": 800})
                on = Visit(tab, session, server.address)
                tab.goto(server.address)
                tab.locator("#work").wait_for()
                yield on
                browser.close()
        finally:
            server.stop()
            thread.join(10)
            page.close()


@pytest.fixture
def visit(duet: Path, cache_folder: Path) -> Iterator[Visit]:
    with visiting(duet) as on:
        yield on


def test_click_a_face_hear_the_voice_correct_and_save(visit: Visit, duet: Path) -> None:
    page, session = visit.page, visit.session
    visit.until(lambda: all(session.analysis.final(k) for k in range(session.recording.chunks)))
    visit.until(lambda: page.locator(".face:visible").count() == 2)

    visit.play_from()
    left, right = visit.voices()
    assert left == pytest.approx(0, abs=1)
    assert right == pytest.approx(0, abs=1)
    visit.click_face(2)
    visit.play_from()
    left, right = visit.voices()
    assert left < -10
    assert right == pytest.approx(0, abs=2)
    visit.click_face(1)
    visit.play_from()
    left, right = visit.voices()
    assert right < -10
    assert left == pytest.approx(0, abs=2)

    page.keyboard.press("a")
    visit.play_from()
    left, right = visit.voices()
    assert left == pytest.approx(right, abs=1)
    result, original = visit.loudness(2.5)
    assert original == pytest.approx(result, abs=3)
    assert abs(visit.drift_ms()) < 40
    page.keyboard.press("a")
    page.keyboard.press("Escape")
    page.keyboard.press("Space")

    page.locator('[data-stem="1"] .rename').click()
    page.keyboard.type("Eileen")
    page.keyboard.press("Enter")
    visit.until(lambda: session.analysis.people.persons[0].name == "Eileen")
    assert [one.name for one in avse.look(duet, Settings()).people] == ["Eileen", None]

    page.locator('[data-stem="2"] .more').click()
    page.get_by_role("menuitem", name="Same person as").click()
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Make them one person").click()
    visit.until(lambda: len(session.analysis.people) == 1)
    visit.until(lambda: page.locator(".face:visible").count() == 1)
    page.get_by_text("Both faces are visible at the same time").wait_for()
    page.locator("#notices").get_by_role("button", name="Undo").click()
    visit.until(lambda: len(session.analysis.people) == 2)

    page.locator("#save").click()
    page.get_by_role("radio", name="Each voice").check()
    page.locator("#export-format").select_option("flac")
    page.locator("#export-go").click()
    link = page.get_by_role("link", name="duet.Eileen.flac")
    link.wait_for(timeout=60_000)
    with page.expect_download() as caught:
        link.click()
    saved, rate = soundfile.read(io.BytesIO(Path(caught.value.path()).read_bytes()))
    with AudioReader(duet) as reader:
        original = np.concatenate([block.samples for block in reader], axis=1)
    assert rate == reader.sample_rate
    assert len(saved) == original.shape[1]

    assert not visit.errors
    origin = visit.address.split("/?")[0]
    assert all(url.startswith((origin, "blob:", "data:")) for url in visit.requests)


def test_corrections_stay(visit: Visit, duet: Path) -> None:
    session = visit.session
    visit.until(lambda: len(session.analysis.people) == 2)
    session.rename(2, "Grace")
    session.set_offset(80.0)
    again = open_recording(duet, Settings())
    try:
        visit.until(lambda: len(again.analysis.people) == 2)
        assert [person["name"] for person in again.state()["people"]] == [None, "Grace"]
        assert again.state()["offset"]["set_ms"] == 80.0
    finally:
        again.close()


# "Hears" a sentence with a mark-up in it, and one that ends with the sound.
HEAR = """
import sys, wave
with wave.open(sys.argv[1]) as sound:
    stop = sound.getnframes() / sound.getframerate()
print("1\\n00:00:00,000 --> 00:00:01,000\\n<i>place</i> green white & now\\n")
image = "&lt;img src=x onerror=alert()&gt;"
print(f"2\\n00:00:01,200 --> 00:00:{stop:06.3f}\\n{image} by gate\\n")
"""


def test_what_they_say_is_read_searched_and_saved(duet: Path, cache_folder: Path) -> None:
    command = shlex.join([sys.executable, "-c", HEAR])
    with visiting(duet, command) as visit:
        page, session = visit.page, visit.session
        sentences = page.locator(".sentence:visible")
        visit.until(lambda: sentences.count() == 4, 120)
        assert session.state()["transcriber"] == Path(sys.executable).name
        said = session.words()
        assert {number: len(cues) for number, cues in said.items()} == {"1": 2, "2": 2}
        duration = session.recording.duration_s
        assert all(0 <= c["start"] < c["stop"] <= duration for own in said.values() for c in own)
        assert "<img src=x onerror=alert()> by" in sentences.last.inner_text()  # as text

        target = max(said["2"], key=lambda cue: cue["start"])
        page.locator(".sentence", has_text="by gate").last.click()
        visit.until(lambda: abs(page.evaluate("avse.time()") - target["start"]) < 0.1)
        page.locator('.sentence[aria-current="true"]').first.wait_for()
        page.locator("#transcript-search").fill("WHITE")
        visit.until(lambda: sentences.count() == 2)
        assert page.locator("#transcript-found").inner_text() == "2 of 4"
        assert page.locator("mark").first.inner_text() == "white"
        page.locator("#transcript-search").press("Enter")
        page.locator("#transcript-search").fill("")

        page.locator("#as-text-open").click()
        page.locator("#as-text-list .says button").first.wait_for()
        page.locator("#as-text").get_by_role("button", name="Close").click()

        session.merge([1, 2])
        visit.until(lambda: list(session.words()) == ["1"])
        assert len(session.words()["1"]) >= 2
        session.undo()
        session.remove(2)
        visit.until(lambda: sentences.count() == 2)
        session.undo()
        visit.until(lambda: sentences.count() == 4)

        page.locator("#save").click()
        page.get_by_role("radio", name="Subtitles").check()
        page.locator("#export-format").select_option("srt")
        page.locator("#export-go").click()
        link = page.get_by_role("link", name="duet.srt")
        link.wait_for(timeout=60_000)
        with page.expect_download() as caught:
            link.click()
        text = Path(caught.value.path()).read_text()
        assert len(re.findall(r"^Person [12]: place", text, re.M)) == 2
        # A picture may have been asked for of somebody who was removed at that moment.
        assert not [error for error in visit.errors if "404" not in error]


def test_a_recogniser_that_fails_is_said(duet: Path, cache_folder: Path) -> None:
    command = shlex.join([sys.executable, "-c", "raise SystemExit('no microphone')"])
    with visiting(duet, command) as visit:
        alert = visit.page.get_by_role("alert").filter(has_text="no microphone")
        alert.wait_for(timeout=120_000)
        assert alert.count() == 1
        visit.until(lambda: visit.session.state()["transcriber"] is None)
        visit.page.locator("#save").click()
        about = visit.page.locator("#export-subtitles-about").inner_text()
        assert "--transcribe" in about
