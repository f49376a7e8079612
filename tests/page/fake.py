"""A server that keeps the contract of the page with made people: tones for voices, drawn faces.

Run it to look at the page: `python tests/page/fake.py --port 8123 --pace 1.5`, where the voices of
a chunk take 1.5 s.
"""

import argparse
import contextlib
import functools
import io
import json
import math
import queue
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import anyio
import av
import numpy as np
import uvicorn
from PIL import Image, ImageDraw
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

STATIC = Path(__file__).parents[2] / "avse" / "page" / "static"
CHUNK_S, RATE, CHANNELS, FPS, SIZE = 4.0, 48_000, 2, 25, (640, 360)
PITCHES = {"1": 220.0, "2": 330.0, "3": 495.0, "offscreen": 700.0, "rest": 90.0}
CSP = "default-src 'self'; media-src 'self' blob:; img-src 'self' blob: data:"
NAMES = {"index.html": "text/html", "style.css": "text/css", "icon.svg": "image/svg+xml"}


def speaks(stem: str, at: np.ndarray) -> np.ndarray:
    """Whether a person speaks: 1 most of the time, 2 (not at first) and 3 with pauses."""
    if stem == "1":
        return (at % 8 < 7).astype(float)
    if stem == "2":
        return ((at > 1) & (at % 6 < 4.5)).astype(float)
    if stem == "3":
        return (at % 12 > 5).astype(float)
    return ((at % 20 > 13) if stem == "offscreen" else (at >= 0)).astype(float)


def tone(stem: str, start: int, stop: int, *, steady: bool = False) -> np.ndarray:
    """The samples [start, stop) of a stem: (channels, samples); steady: people never pause."""
    at = np.arange(start, stop) / RATE
    level = {"rest": 0.01, "offscreen": 0.05}.get(stem, 0.1)
    wave = level * np.sin(2 * np.pi * PITCHES[stem] * at)
    heard = 1.0 if steady and stem.isdigit() else speaks(stem, at)
    return np.stack([wave * heard] * CHANNELS).astype(np.float32)


def where(person: int, at: float) -> tuple[float, float, float, float] | None:
    """Where a face is, as fractions of the picture; person 3 comes in at 3 s, others never."""
    if person > 3 or (person == 3 and at < 3):
        return None
    x = {1: 0.12, 2: 0.42, 3: 0.74}[person] + 0.03 * math.sin(0.9 * at + person)
    return (x, 0.30 + 0.02 * math.sin(1.3 * at + 2 * person), 0.15, 0.36)


def draw(at: float) -> Image.Image:
    """The picture at a time: three heads whose mouths open while they speak."""
    width, height = SIZE
    image = Image.new("RGB", SIZE, (58, 70, 84))
    pen = ImageDraw.Draw(image)
    pen.rectangle([0, 270, width, height], fill=(92, 74, 60))
    for person, skin in {1: (224, 172, 140), 2: (141, 85, 54), 3: (244, 204, 178)}.items():
        box = where(person, at)
        if box is None:
            continue
        x, y, w, h = box[0] * width, box[1] * height, box[2] * width, box[3] * height
        shirt = {1: (70, 110, 160), 2: (160, 150, 70), 3: (130, 70, 110)}[person]
        pen.ellipse([x - 22, y + h * 0.9, x + w + 22, y + h * 2.2], fill=shirt)
        pen.ellipse([x, y, x + w, y + h], fill=skin)
        for eye in (0.32, 0.68):
            cx, cy = x + eye * w, y + 0.4 * h
            pen.ellipse([cx - 5, cy - 4, cx + 5, cy + 4], fill=(30, 30, 34))
        mouth = 3 + 8 * abs(math.sin(9 * at)) * float(speaks(str(person), np.array([at]))[0])
        pen.ellipse(
            [x + w / 2 - 14, y + 0.72 * h - mouth, x + w / 2 + 14, y + 0.72 * h + mouth],
            fill=(110, 40, 44),
        )
    return image


def encode(start_s: float, stop_s: float, options: dict[str, str], *, sound: bool) -> bytes:
    """The picture of a stretch as MP4 in memory."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4", options=options) as container:
        video = container.add_stream(
            "libx264", rate=FPS, options={"profile": "baseline", "preset": "ultrafast", "g": "50"}
        )
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        audio = container.add_stream("aac", rate=RATE) if sound else None
        for i in range(round((stop_s - start_s) * FPS)):
            if i % 2 == 0:
                image = draw(start_s + i / FPS)
            frame = av.VideoFrame.from_image(image)
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            mix = sum(tone(stem, 0, round(stop_s * RATE)) for stem in PITCHES)
            for at in range(0, mix.shape[1], 1024):
                block = np.ascontiguousarray(mix[:, at : at + 1024])
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return target.getvalue()


@functools.lru_cache
def segment(chunk: int, duration: float) -> bytes:
    """Chunk of the picture as a fragment whose decode time is its place on the time line."""
    start = chunk * CHUNK_S
    made = bytearray(
        encode(
            start,
            min(start + CHUNK_S, duration),
            {"movflags": "frag_keyframe+empty_moov+default_base_moof"},
            sound=False,
        )
    )
    at, first = made.find(b"tfdt"), None
    scale = int.from_bytes(made[(mdhd := made.find(b"mdhd")) + 16 : mdhd + 20], "big")
    while at != -1:
        width = 8 if made[at + 4] else 4
        value = int.from_bytes(made[at + 8 : at + 8 + width], "big")
        first = value if first is None else first
        made[at + 8 : at + 8 + width] = (value - first + round(start * scale)).to_bytes(
            width, "big"
        )
        at = made.find(b"tfdt", at + 4)
    return bytes(made)


@dataclass
class Fake:
    """The state behind the fake server. Tests read `posts`, and say which chunks are `ready`."""

    duration: float = 24.0
    media_type: str | None = 'video/mp4; codecs="avc1.42c01e, mp4a.40.2"'
    with_file: bool = True
    steady: bool = False  # people never pause
    pace_s: float | None = None  # seconds for the voices of a chunk; None: only what is released
    playhead: float = 0.0
    revision: int = 1
    people: list[dict[str, Any]] = field(default_factory=list)
    faces_ready: dict[str, int] = field(default_factory=dict)
    voices_ready: dict[str, int] = field(default_factory=dict)
    words: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    transcriber: str | None = None
    offset: dict[str, Any] = field(
        default_factory=lambda: {"measured_ms": 12.0, "sure": False, "set_ms": None}
    )
    exports: list[dict[str, Any]] = field(default_factory=list)
    undo: list[Any] = field(default_factory=list)
    posts: list[tuple[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    listeners: list[queue.SimpleQueue] = field(default_factory=list)
    media: bytes = b""
    closed: bool = False

    def __post_init__(self) -> None:
        for i, (name, sure) in enumerate([(None, 0.93), ("Ben Okafor", 0.61), (None, 0.31)], 1):
            self.people.append(
                {
                    "id": i,
                    "number": i,
                    "name": name,
                    "seen_s": self.duration - (3 if i == 3 else 0),
                    "speaking_s": 2.0 * i,
                    "confidence": sure,
                    "still": False,
                    "merged": [],
                }
            )

    @property
    def chunks(self) -> int:
        return math.ceil(self.duration / CHUNK_S)

    def stems(self) -> list[str]:
        return [*(str(person["id"]) for person in self.people), "offscreen", "rest"]

    def state(self) -> dict[str, Any]:
        file = {
            "name": "round table.mp4",
            "duration": self.duration,
            "width": SIZE[0],
            "height": SIZE[1],
            "fps": FPS,
            "rate": RATE,
            "channels": CHANNELS,
            "media_type": self.media_type,
            "proxy_type": 'video/mp4; codecs="avc1.42c01e"',
            "chunks": self.chunks,
        }
        return {
            "version": "0.1.0",
            "file": file if self.with_file else None,
            "chunk_s": CHUNK_S,
            "revision": self.revision,
            "people": self.people,
            "stems": self.stems(),
            "faces_ready": self.faces_ready,
            "voices_ready": self.voices_ready,
            "offset": self.offset,
            "can_undo": bool(self.undo),
            "progress": self.progress(),
            "exports": self.exports,
            "formats": {
                "sound": ["wav", "flac", "mp3", "m4a", "opus"],
                "video": ["mp4", "mkv", "mov"],
                "text": ["srt", "vtt", "rttm", "otio", "edl"],
            },
            "transcriber": self.transcriber,
        }

    def progress(self) -> dict[str, Any]:
        def one(ready: dict[str, int], pace: float) -> dict[str, Any]:
            missing = self.chunks - len(ready)
            return {
                "done_s": min(self.duration, CHUNK_S * len(ready)),
                "total_s": self.duration,
                "left_s": missing * pace if missing else None,
                "here": False,
            }

        faces, voices = one(self.faces_ready, 0.4), one(self.voices_ready, self.pace_s or 8)
        done = len(self.voices_ready) == self.chunks
        return {
            "faces": faces,
            "voices": voices,
            "doing": "" if done else "separating voices at 0:12",
        }

    def tell(self, event: str, data: Any) -> None:
        for listener in self.listeners:
            listener.put((event, json.dumps(data)))

    def ready(self, kind: str, chunk: int) -> None:
        """Say that the faces or voices of a chunk are computed (anew)."""
        ready = self.faces_ready if kind == "faces" else self.voices_ready
        ready[str(chunk)] = ready.get(str(chunk), 0) + 1
        self.tell(kind, {"chunk": chunk, "version": ready[str(chunk)]})
        self.tell("progress", self.progress())

    def changed(self) -> dict[str, Any]:
        self.revision += 1
        self.tell("state", self.state())
        return self.state()

    def work(self) -> None:
        """Faces, then voices, from the playhead on, at the pace."""
        while not self.closed and self.pace_s is not None:
            here = int(self.playhead // CHUNK_S)
            order = [*range(here, self.chunks), *range(here)]
            for kind, ready, pace in (
                ("faces", self.faces_ready, 0.3),
                ("voices", self.voices_ready, self.pace_s),
            ):
                missing = [k for k in order if str(k) not in ready]
                if self.with_file and missing:
                    time.sleep(pace)
                    self.ready(kind, missing[0])
            time.sleep(0.02)

    def faces(self, chunk: int) -> dict[str, Any]:
        start, stop = chunk * CHUNK_S, min((chunk + 1) * CHUNK_S, self.duration)
        times = [round(start + i / FPS, 3) for i in range(round((stop - start) * FPS))]
        tracks = []
        for id_ in (person["id"] for person in self.people if person["id"] <= 3):
            seen = [(at, box) for at in times if (box := where(id_, at))]
            if seen:
                tracks.append(
                    {
                        "person": id_,
                        "times": [at for at, _ in seen],
                        "boxes": [list(box) for _, box in seen],
                    }
                )
        return {"start": start, "stop": stop, "tracks": tracks, "cuts": []}

    def samples(self, chunk: int, stem: str) -> tuple[int, np.ndarray]:
        start, stop = (
            round(chunk * CHUNK_S * RATE),
            round(min((chunk + 1) * CHUNK_S, self.duration) * RATE),
        )
        if stem == "original":
            return start, np.sum(
                [tone(one, start, stop, steady=self.steady) for one in PITCHES], 0, dtype=np.float32
            )
        made = tone(stem, start, stop, steady=self.steady)
        gone = {str(old): str(p["id"]) for p in self.people for old in p["merged"]}
        for old, new in gone.items():
            if new == stem:
                made = made + tone(old, start, stop, steady=self.steady)
        return start, made

    def voices(self, chunk: int) -> dict[str, Any]:
        lanes = {}
        start = chunk * CHUNK_S
        for stem in [*self.stems(), "original"]:
            at, samples = self.samples(chunk, stem)
            count = round(samples.shape[1] / RATE * 25)
            level = 4 * np.abs(samples[0]).reshape(count, -1).max(1)
            wobble = 0.55 + 0.45 * np.abs(
                np.sin(np.arange(count) * 1.7 + at) * np.sin(np.arange(count) * 0.31)
            )
            times = start + np.arange(count) / 25
            unsure = [[start + 1, start + 2.2]] if stem == "3" and chunk % 2 else []
            lanes[stem] = {
                "peaks": (level * wobble).clip(0, 1).round(3).tolist(),
                "speaking": speaks(stem, times).tolist() if stem.isdigit() else None,
                "unsure": unsure,
                "level_db": -20.0,
            }
        return {
            "start": start,
            "stop": min(start + CHUNK_S, self.duration),
            "rate": RATE,
            "channels": CHANNELS,
            "samples": samples.shape[1],
            "stems": lanes,
        }

    def correct(self, path: str, body: Any) -> None:
        before = json.loads(json.dumps([self.people, self.offset]))
        if path == "/api/undo":
            self.people, self.offset = self.undo.pop()
        else:
            self.undo.append(before)
        if path == "/api/merge":
            keep, gone = body["ids"]
            self.people = [one for one in self.people if one["id"] != gone]
            next(one for one in self.people if one["id"] == keep)["merged"].append(gone)
        elif path == "/api/offset":
            self.offset["set_ms"] = body["ms"]
        elif path.endswith("/remove"):
            self.people = [one for one in self.people if one["id"] != int(path.split("/")[3])]
        elif path.startswith("/api/people/"):
            next(one for one in self.people if str(one["id"]) == path.split("/")[3])["name"] = body[
                "name"
            ]
        if path in ("/api/merge", "/api/undo"):
            for chunk in list(self.voices_ready):
                self.voices_ready[chunk] += 1

    def export(self, body: Any) -> dict[str, Any]:
        one = {
            "id": len(self.exports) + 1,
            "label": f"{body['what'].capitalize()} as {body['format'].upper()}",
            "state": "running",
            "done": 0.4,
            "left_s": 12,
            "files": [],
            "error": None,
            "hint": None,
            "warnings": [],
        }
        self.exports.append(one)
        return one

    def finish(self, id_: int) -> None:
        one = self.exports[id_ - 1]
        one |= {
            "state": "done",
            "done": 1,
            "left_s": None,
            "files": [
                {"name": "talk.1.wav", "size": 4_608_044, "url": f"/api/export/{id_}/talk.1.wav"}
            ],
        }
        self.tell("export", one)


def thumbnail(person: int) -> Response:
    at = 5.0
    box = where(person, at)
    if box is None:
        return Response(status_code=404)
    x, y, w, h = box
    width, height = SIZE
    target = io.BytesIO()
    face = draw(at).crop(
        (int(x * width) - 8, int(y * height), int((x + w) * width) + 8, int((y + h) * height))
    )
    face.resize((96, 96)).save(target, "JPEG")
    return Response(target.getvalue(), media_type="image/jpeg")


def app(fake: Fake) -> Starlette:
    """The contract, over a fake."""

    async def answer(request: Request) -> Response:
        path = request.url.path
        fake.paths.append(path)
        response = await (post if request.method == "POST" else get)(request, path)
        response.headers["Content-Security-Policy"] = CSP
        return response

    async def get(request: Request, path: str) -> Response:
        parts = path.strip("/").split("/")
        if path == "/":
            return FileResponse(STATIC / "index.html")
        if parts[0] == "static" and (STATIC / parts[1]).is_file():
            return FileResponse(
                STATIC / parts[1], media_type=NAMES.get(parts[1], "text/javascript")
            )
        if path == "/api/state":
            return JSONResponse(fake.state())
        if path == "/api/words":
            return JSONResponse(fake.words)
        if path == "/api/events":
            return StreamingResponse(events(), media_type="text/event-stream")
        if path == "/media":
            return media(request)
        if parts[0] == "proxy":
            made = await anyio.to_thread.run_sync(
                segment, int(parts[1].split(".")[0]), fake.duration
            )
            return Response(made, media_type="video/mp4")
        if parts[:2] == ["api", "people"]:
            return thumbnail(int(parts[2]))
        kind, chunk = (parts[1], parts[2]) if len(parts) > 2 else ("", "")
        if kind == "faces" and chunk in fake.faces_ready:
            return JSONResponse(fake.faces(int(chunk)))
        if kind == "voices" and chunk in fake.voices_ready:
            return JSONResponse(await anyio.to_thread.run_sync(fake.voices, int(chunk)))
        if kind == "sound" and (parts[3] == "original" or chunk in fake.voices_ready):
            start, samples = await anyio.to_thread.run_sync(fake.samples, int(chunk), parts[3])
            headers = {
                "X-Start-Sample": str(start),
                "X-Samples": str(samples.shape[1]),
                "X-Channels": str(CHANNELS),
                "X-Rate": str(RATE),
            }
            return Response(
                samples.astype("<f4").tobytes(),
                headers=headers,
                media_type="application/octet-stream",
            )
        return JSONResponse({"error": "not yet", "hint": ""}, 404)

    async def post(request: Request, path: str) -> Response:
        body = {} if path == "/api/open" else await request.json()
        fake.posts.append((path, body))
        if path == "/api/playhead":
            fake.playhead = body["time"]
            return Response(status_code=204)
        if path == "/api/open":
            fake.with_file = True
            async for _ in request.stream():
                pass
            return JSONResponse(fake.changed())
        if path == "/api/export":
            return JSONResponse(fake.export(body))
        if path.startswith("/api/export/"):
            fake.exports[int(path.split("/")[3]) - 1]["state"] = "cancelled"
            fake.tell("export", fake.exports[int(path.split("/")[3]) - 1])
            return Response(status_code=204)
        if path == "/api/merge" and len(set(body["ids"])) < 2:
            return JSONResponse(
                {"error": "These are one person already.", "hint": "Choose two."}, 422
            )
        fake.correct(path, body)
        return JSONResponse(fake.changed())

    async def events() -> AsyncIterator[str]:
        listener: queue.SimpleQueue = queue.SimpleQueue()
        fake.listeners.append(listener)
        yield "retry: 500\n\n"
        while not fake.closed:
            try:
                event, data = listener.get_nowait()
                yield f"event: {event}\ndata: {data}\n\n"
            except queue.Empty:
                await anyio.sleep(0.03)

    def media(request: Request) -> Response:
        total = len(fake.media)
        first, _, last = (
            request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        )
        begin, end = int(first), min(int(last) if last else total - 1, total - 1)
        headers = {"Content-Range": f"bytes {begin}-{end}/{total}", "Accept-Ranges": "bytes"}
        return Response(fake.media[begin : end + 1], 206, headers, "video/mp4")

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


@contextlib.contextmanager
def serving(fake: Fake, port: int = 0) -> Iterator[str]:
    """The address of the fake, while it runs in a thread."""
    listening = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(
        uvicorn.Config(app(fake), log_level="warning", ws="none", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    worker = threading.Thread(target=fake.work, daemon=True)
    thread.start()
    worker.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        fake.closed = True
        server.should_exit = True
        thread.join(5)
        listening.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--pace", type=float, default=1.5, help="seconds for the voices of a chunk")
    parser.add_argument(
        "--proxy", action="store_true", help="a picture that the browser cannot decode"
    )
    given = parser.parse_args()
    shown = Fake(pace_s=given.pace, media_type=None if given.proxy else Fake.media_type)
    shown.media = encode(0, shown.duration, {}, sound=True)
    with serving(shown, given.port) as address:
        print(address)
        threading.Event().wait()
