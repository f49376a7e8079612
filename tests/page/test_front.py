"""The page in a real browser, over the server of fake.py: what is heard, seen, and sent."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install playwright"
)

from tests.page.fake import PITCHES, RATE, Fake, encode, serving  # noqa: E402

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        arguments = ["--autoplay-policy=no-user-gesture-required", "--no-sandbox"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def media() -> bytes:
    return encode(0, 24, {}, sound=True)


class Visit:
    """A page over a fake server, and what a person does there."""

    def __init__(self, page: Any, fake: Fake, address: str) -> None:
        self.page, self.fake, self.address = page, fake, address
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console", lambda told: self.errors.append(told.text) if told.type == "error" else None
        )
        page.on("request", lambda request: self.requests.append(request.url))

    def state(self, key: str) -> Any:
        return self.page.evaluate(f"avse.state().{key}")

    def time(self) -> float:
        return self.page.evaluate("avse.time()")

    def until(self, what: Callable[[], Any], seconds: float = 20.0) -> Any:
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, "it did not happen"
            self.page.wait_for_timeout(40)
        return found

    def compute(self, *chunks: int) -> None:
        for chunk in chunks:
            self.fake.ready("faces", chunk)
            self.fake.ready("voices", chunk)

    def play(self) -> None:
        """Play, until sound comes out and the analysers are full of it."""
        self.page.locator("#play").click()
        self.until(lambda: self.state("running"))
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_timeout(900)

    def click_face(self, person: int) -> None:
        face = self.page.locator(f'.face[data-person="{person}"]')
        face.wait_for()
        box = (
            face.bounding_box()
        )  # the face moves: Playwright's own click waits until it stands still
        self.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def heard(self) -> np.ndarray:
        script = "String.fromCharCode(...new Uint16Array(avse.recent().buffer))"
        return np.array([ord(pair) for pair in self.page.evaluate(script)], "<u2").view("<f4")

    def level(self, stem: str) -> float:
        """The level in dB of a stem's tone at the speakers."""
        samples = self.heard()
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        at = round(PITCHES[stem] * len(samples) / RATE)
        return float(20 * np.log10(spectrum[at - 3 : at + 4].max() / len(samples) + 1e-9))

    def sent(self, path: str) -> list[Any]:
        return [body for one, body in self.fake.posts if one == path]


@pytest.fixture
def visit(browser: Any, media: bytes) -> Iterator[Callable[..., Visit]]:
    open_ones: list[tuple[Any, Any]] = []

    def start(
        *, width: int = 1200, height: int = 800, scheme: str = "light", **given: Any
    ) -> Visit:
        fake = Fake(media=media, **given)
        server = serving(fake)
        address = server.__enter__()
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        open_ones.append((context, server))
        page = Visit(context.new_page(), fake, address)
        page.page.goto(address)
        if fake.with_file:
            page.page.locator("#work").wait_for()
            page.until(lambda: fake.listeners)
        return page

    yield start
    for context, server in open_ones:
        context.close()
        server.__exit__(None, None, None)


def test_boxes_follow_the_faces_as_soon_as_they_are_found(visit: Any) -> None:
    on = visit()
    assert on.page.locator(".face:visible").count() == 0
    assert on.page.locator("#hint").is_visible()
    on.fake.ready("faces", 0)
    on.until(lambda: on.page.locator(".face:visible").count() == 2)  # the third comes in at 3 s
    on.page.evaluate("document.querySelector('#forward').click()")
    on.fake.ready("faces", 1)
    on.until(lambda: on.page.locator(".face:visible").count() == 3)
    picture = on.page.locator("#video").bounding_box()
    box = on.page.locator('.face[data-person="1"]').bounding_box()
    scale = min(picture["width"] / 640, picture["height"] / 360)
    left = picture["x"] + (picture["width"] - 640 * scale) / 2
    expected = 0.12 + 0.03 * np.sin(0.9 * 5 + 1)  # as fake.where
    assert abs((box["x"] - left) / (640 * scale) - expected) < 0.005


def test_people_are_listed_as_they_are_found(visit: Any) -> None:
    on = visit()
    found = on.fake.people.copy()
    on.fake.people.clear()
    on.fake.changed()
    on.until(lambda: on.page.locator(".strip").count() == 2)  # off-screen speech, everything else
    assert on.page.locator("#hint").inner_text() == "Looking for faces …"
    on.fake.people.extend(found[:1])
    on.fake.changed()
    on.until(lambda: on.page.locator(".strip").count() == 3)
    assert on.page.locator("#hint").inner_text() == "Click a face to hear only that person"


def test_a_clicked_face_is_heard_alone_and_again_all_are(visit: Any) -> None:
    on = visit(steady=True)
    on.compute(*range(6))
    on.play()
    both = on.level("2")
    on.click_face(1)
    assert on.page.locator("#hint").is_hidden()
    on.settle()
    assert on.level("2") < both - 20
    assert on.level("1") > both - 3
    levels = on.page.evaluate("avse.levels()")
    assert levels["2"] < levels["1"] - 20
    assert abs(levels["result"] - levels["1"]) < 1.5
    assert {"time", "playing", "wanted"} == set(on.sent("/api/playhead")[-1])
    assert on.sent("/api/playhead")[-1]["wanted"] == [1]
    on.page.keyboard.press("Escape")
    on.settle()
    assert abs(on.level("2") - both) < 1
    assert on.errors == []


def test_original_and_result_are_equally_loud_and_change_without_a_gap(visit: Any) -> None:
    on = visit(steady=True)
    on.compute(*range(6))
    on.play()
    on.page.keyboard.press("2")
    on.page.wait_for_timeout(2500)  # the loudness of the last 1.5 s
    levels = on.page.evaluate("avse.levels()")
    assert levels["result"] > -40
    assert abs(levels["result"] - levels["original"]) < 1.5
    on.page.keyboard.press("a")
    on.page.wait_for_timeout(300)
    heard = on.heard()[-28_800:]
    windows = heard.reshape(-1, 960)  # 20 ms each
    loudness = 10 * np.log10((windows**2).mean(1))
    assert loudness.min() > np.median(loudness) - 3
    assert np.abs(np.diff(heard)).max() < 0.05  # a click would be a step
    assert on.state("original")
    on.settle()
    assert on.level("1") > on.level("2") - 3  # the original: both


def test_without_voices_the_original_plays_and_a_solo_waits_for_them(visit: Any) -> None:
    on = visit(steady=True)
    on.compute(0)
    on.play()
    on.until(lambda: on.time() > 4.5)  # chunk 1 has no voices: the original
    assert on.level("1") > -60
    on.page.keyboard.press("1")
    on.until(lambda: on.state("waiting"))
    on.page.locator("#wait").wait_for()
    assert "Finding this voice at 0:0" in on.page.locator("#wait").inner_text()
    on.settle()  # the report of a last quantum of sound may be on its way
    stood = on.time()
    on.settle()
    assert on.time() == pytest.approx(stood, abs=0.001)
    on.compute(1)
    on.until(lambda: on.state("running"))
    on.until(lambda: on.time() > stood + 1)
    assert on.level("2") < on.level("1") - 20
    assert on.page.locator("#wait").is_hidden()
    on.until(lambda: on.state("waiting"))  # and again, where chunk 2 begins
    assert on.time() == pytest.approx(8, abs=0.05)


def test_the_mixer_adds_up_sample_by_sample_over_chunks(visit: Any) -> None:
    """Stems made so that any sample lost, doubled or moved shows."""
    script = """async () => {
      const { Mixer } = await import("/static/mixer.js");
      const total = 2500, mixer = new Mixer({ rate: 1000, total, chunk_s: 1 });
      const stem = (factor) => (k, n) =>
        [Float32Array.from({ length: n }, (_, i) => factor * (1000 * k + i))];
      for (const k of [0, 1, 2]) {
        const n = Math.min(1000, total - 1000 * k);
        mixer.obey({ kind: "put", chunk: k, start: 1000 * k, length: n, original: stem(3)(k, n),
          stems: { "1": stem(1)(k, n), rest: stem(2)(k, n) } });
      }
      mixer.obey({ kind: "gains", gains: { "1": 1, rest: 0 }, others: 1 });
      mixer.obey({ kind: "play" });
      const heard = [];
      for (let block = 0; block < 30 && !mixer.ended; block++) {
        const bus = () => [new Float32Array(128)];
        const result = bus();
        mixer.render(bus(), result, bus());
        heard.push(...result[0]);
      }
      return [heard.slice(0, total), mixer.position];
    }"""
    heard, position = visit().page.evaluate(script)
    assert position == 2500
    np.testing.assert_array_equal(heard[10:], np.arange(2500)[10:])  # after the fade of 5 ms


def test_the_mixer_fades_out_of_what_is_dropped_after_a_seek(visit: Any) -> None:
    script = """async () => {
      const { Mixer } = await import("/static/mixer.js");
      const mixer = new Mixer({ rate: 48000, total: 48000 * 60, chunk_s: 4 });
      const ones = () => [new Float32Array(192000).fill(1)];
      const put = (k) => mixer.obey({ kind: "put", chunk: k, start: 192000 * k, length: 192000,
        original: ones(), stems: { rest: ones() } });
      const heard = [];
      const render = (blocks) => {
        for (let block = 0; block < blocks; block++) {
          const out = [new Float32Array(128)];
          mixer.render(out, [new Float32Array(128)], [new Float32Array(128)]);
          heard.push(...out[0]);
        }
      };
      put(0);
      mixer.obey({ kind: "play" });
      render(10);
      mixer.obey({ kind: "seek", position: 192000 * 9, serial: 1 });
      mixer.obey({ kind: "drop", chunk: 0 });
      render(10);
      put(9);
      render(10);
      return [Math.max(...heard.slice(1).map((v, i) => Math.abs(v - heard[i]))),
        heard.at(-1), [...mixer.chunks.keys()]];
    }"""
    step, last, chunks = visit().page.evaluate(script)
    assert step < 0.01
    assert (last, chunks) == (1, [9])


def test_the_mixer_ends_where_the_last_chunk_ends(visit: Any) -> None:
    script = """async () => {
      const { Mixer } = await import("/static/mixer.js");
      const mixer = new Mixer({ rate: 1000, total: 1001, chunk_s: 4 });
      const tone = () => [new Float32Array(1000).fill(1)];
      mixer.obey({ kind: "put", chunk: 0, start: 0, length: 1000, original: tone(),
        stems: { rest: tone() } });
      mixer.obey({ kind: "play" });
      const bus = () => [new Float32Array(128)];
      for (let block = 0; block < 12; block++) mixer.render(bus(), bus(), bus());
      return mixer.ended;
    }"""
    assert visit().page.evaluate(script)


def drift_ms(on: Any) -> float:
    """How far picture and sound are apart: the median, as a busy machine delays some frames."""
    drifts = []
    for _ in range(20):
        drifts.append(on.page.evaluate("avse.drift_ms()"))
        on.page.wait_for_timeout(50)
    return float(np.median(np.abs(drifts)))


def test_the_picture_follows_the_sound(visit: Any) -> None:
    on = visit()
    on.compute(*range(6))
    on.play()
    on.page.wait_for_timeout(1500)
    assert drift_ms(on) < 40
    assert on.state("proxy") is False


def test_a_picture_that_the_browser_cannot_decode_comes_in_segments(visit: Any) -> None:
    on = visit(media_type=None)
    on.compute(*range(6))
    on.until(lambda: on.page.evaluate("document.querySelector('video').readyState") >= 2)
    assert on.state("proxy")
    on.play()
    on.page.wait_for_timeout(1000)
    assert drift_ms(on) < 60
    on.page.keyboard.press("ArrowRight")
    on.page.keyboard.press("ArrowRight")
    on.page.keyboard.press("ArrowRight")  # beyond 16 s: segment 4
    on.until(lambda: on.page.evaluate("video.readyState >= 2 && video.currentTime > 16.2"))
    assert "/proxy/4.mp4" in on.fake.paths
    assert "/media" not in on.fake.paths
    assert on.errors == []


def test_corrections_send_what_the_server_expects(visit: Any) -> None:
    on = visit()
    on.compute(0)
    page = on.page
    page.locator('[data-stem="1"] .rename').click()
    page.keyboard.type("<img src=x onerror=alert(1)>")
    page.keyboard.press("Enter")
    on.until(lambda: on.sent("/api/people/1") == [{"name": "<img src=x onerror=alert(1)>"}])
    on.until(
        lambda: "<img" in page.locator('[data-stem="1"] .name').inner_text()
    )  # text, no element
    page.locator('[data-stem="3"] .more').click()
    page.get_by_role("menuitem", name="Same person as").click()
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Make them one person").click()
    on.until(lambda: on.sent("/api/merge") == [{"ids": [1, 3]}])
    on.until(lambda: page.locator(".strip").count() == 4)
    page.locator("#notices").get_by_role("button", name="Undo").click()
    on.until(lambda: page.locator(".strip").count() == 5)
    assert len(on.sent("/api/undo")) == 1
    page.locator('[data-stem="2"] .more').click()
    page.get_by_role("menuitem", name="Not a person").click()
    on.until(lambda: on.sent("/api/people/2/remove") == [{}])
    page.locator("#offset").fill("120")
    on.until(lambda: on.sent("/api/offset") == [{"ms": 120}])
    assert page.locator("#offset-value").inner_text() == "sound 120 ms late"
    on.until(lambda: page.locator("#offset-reset").is_enabled())
    page.locator("#offset-reset").click()
    on.until(lambda: on.sent("/api/offset")[1:] == [{"ms": None}])
    page.locator("#add-face").click()
    stage = page.locator("#stage").bounding_box()
    page.mouse.move(stage["x"] + stage["width"] * 0.5, stage["y"] + stage["height"] * 0.25)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] * 0.6, stage["y"] + stage["height"] * 0.75, steps=4)
    page.mouse.up()
    (added,) = on.until(lambda: on.sent("/api/faces"))
    assert added["time"] == 0
    assert added["box"][1] == pytest.approx(0.25, abs=0.01)
    assert added["box"][3] == pytest.approx(0.5, abs=0.01)
    assert on.errors == []


def test_export_sends_the_mix_and_gives_links(visit: Any) -> None:
    on = visit()
    on.compute(0)
    page = on.page
    page.locator('[data-stem="2"]').get_by_role("button", name="Mute").click()
    page.locator('[data-stem="rest"] .fader').fill("-6")
    page.locator("#save").click()
    page.get_by_role("radio", name="Video").check()
    page.locator("#export-format").select_option("mkv")
    page.locator("#export-report").check()
    page.locator("#export-go").click()
    (sent,) = on.until(lambda: on.sent("/api/export"))
    assert sent["gains"].pop("rest") == pytest.approx(10 ** (-6 / 20))
    assert sent == {
        "what": "video",
        "people": [1, 2, 3],
        "gains": {"1": 1, "2": 0, "3": 1, "offscreen": 1},
        "format": "mkv",
        "bits": 16,
        "report": True,
    }
    page.get_by_role("radio", name="Each voice").check()
    page.locator("#export-format").select_option("wav")
    page.locator("#export-bits").select_option("32")
    page.get_by_role("checkbox", name="Ben Okafor").uncheck()
    page.locator("#export-go").click()
    sent = on.until(lambda: on.sent("/api/export")[1:])[0]
    assert (sent["what"], sent["people"], sent["bits"]) == ("each", [1, 3], 32)
    on.fake.finish(1)
    link = page.get_by_role("link", name="talk.1.wav")
    link.wait_for()
    assert link.get_attribute("href") == f"{on.address}/api/export/1/talk.1.wav"
    page.get_by_role("button", name="Cancel").click()
    on.until(lambda: on.sent("/api/export/2/cancel"))
    on.until(lambda: "cancelled" in page.locator('[data-export="2"]').inner_text())


def test_keys(visit: Any) -> None:
    on = visit()
    on.compute(*range(6))
    on.page.keyboard.press("Space")
    on.until(lambda: on.state("playing"))
    on.page.keyboard.press("Space")
    on.until(lambda: not on.state("playing"))
    before = on.time()
    on.page.keyboard.press("ArrowRight")
    assert on.time() == pytest.approx(before + 5, abs=0.1)
    on.page.keyboard.press("3")
    assert on.page.locator("#who").inner_text() == "Only Person 3"
    on.page.keyboard.press("m")
    mute = on.page.locator('[data-stem="3"] .toggle').nth(1)
    on.until(lambda: mute.get_attribute("aria-pressed") == "true")
    on.page.keyboard.press("m")
    on.page.keyboard.press("3")
    assert on.page.locator("#who").inner_text() == "All voices"
    on.page.keyboard.press("?")
    assert on.page.locator("#keys").is_visible()
    on.page.keyboard.press("Escape")
    face = on.page.locator('.face[data-person="2"]')
    face.wait_for()
    face.focus()
    on.page.keyboard.press("Enter")  # a face is a button
    on.until(lambda: face.get_attribute("aria-pressed") == "true")
    on.page.locator("#lanes").focus()
    on.page.keyboard.press("Space")
    on.page.keyboard.press("End")
    on.until(lambda: not on.state("playing"))
    on.page.keyboard.press("Home")
    on.until(
        lambda: (on.page.locator("#lanes").get_attribute("aria-valuetext") or "").startswith(
            "0:00 of 0:24"
        )
    )


def test_a_click_on_the_timeline_goes_there(visit: Any) -> None:
    on = visit()
    on.until(lambda: on.page.locator("#lanes").bounding_box()["height"] > 150)
    lanes = on.page.locator("#lanes").bounding_box()
    on.page.mouse.click(lanes["x"] + lanes["width"] / 2, lanes["y"] + 60)
    assert on.time() == pytest.approx(12, abs=0.2)
    assert on.until(lambda: on.sent("/api/playhead")[-1]["time"] == pytest.approx(12, abs=0.2))
    on.page.mouse.wheel(0, -400)
    on.page.mouse.click(lanes["x"] + lanes["width"] * 0.75, lanes["y"] + 60)
    assert 12.5 < on.time() < 17.5  # closer: the same place is less far away


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_does_not_scroll_sideways(visit: Any, scheme: str) -> None:
    on = visit(width=420, height=900, scheme=scheme)
    on.fake.people[0]["name"] = "Anna-Magdalena Lindqvist-Featherstonehaugh of somewhere far away"
    on.fake.changed()
    on.compute(0)
    on.page.keyboard.press("1")
    on.page.locator("#wait, .face").first.wait_for()
    assert on.page.evaluate("document.documentElement.scrollWidth") <= 420
    for button in on.page.locator("button:visible").all():
        box = button.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 420 or "face" in (button.get_attribute("class") or "")
        assert min(box["width"], box["height"]) >= 24


def test_nothing_is_asked_of_another_machine(visit: Any) -> None:
    on = visit()
    on.compute(*range(6))
    on.play()
    on.click_face(1)
    on.settle()
    assert on.requests
    assert all(url.startswith((on.address, "blob:" + on.address)) for url in on.requests)
    assert on.errors == []  # the content security policy was not broken either


def test_problems_and_a_lost_connection_are_said(visit: Any) -> None:
    on = visit()
    on.fake.tell("problem", {"error": "The disk is full.", "hint": "Free some space."})
    on.page.get_by_role("alert").filter(has_text="The disk is full. Free some space.").wait_for()
    lost = on.page.get_by_text("The connection to avse is lost.")
    on.fake.closed = True  # ends the events, also those of a page that connects again meanwhile
    lost.wait_for()
    on.fake.closed = False
    on.page.get_by_text("Connected again.").wait_for()
    assert on.until(lambda: lost.count() == 0)
    on.page.get_by_text("Connected again.").wait_for()  # one takes the place of the other


def test_without_a_recording_one_is_chosen(visit: Any, tmp_path: Path) -> None:
    on = visit(with_file=False)
    on.page.get_by_role("heading", name="Open a recording").wait_for()
    video = tmp_path / "talk one.mp4"
    video.write_bytes(b"video")
    on.page.locator("#choose").set_input_files(video)
    on.page.locator("#work").wait_for()
    assert next(path for path, _ in on.fake.posts) == "/api/open"


def test_the_modules_pass_the_type_checker() -> None:
    tsc = shutil.which("tsc")
    if tsc is None:
        pytest.skip("needs TypeScript: npm install --global typescript")
    checked = subprocess.run([tsc, "-p", ROOT / "jsconfig.json"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
