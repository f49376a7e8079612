"""Measure waiting times in `avse open` (first faces, first voice, a jump) and memory.

Loops a clip, starts `avse open` on it in its own process, and opens the page in Chromium. Times are
measured from the time at which the browser opens the address; that of a voice from the click on a
face until that voice is played. Memory is the largest resident set of the server and of the tab's
process.

    python benchmarks/page.py some-720p-clip.mp4 --minutes 30 --jump 25

Needs Chromium and `pip install playwright`. `--minutes 0` opens the clip as it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from long_recording import looped

_PATIENCE_S = 120.0


class Memory(threading.Thread):
    """Records the largest resident sets of the server and the tab, in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.server = 0
        self.most = {"server": 0.0, "tab": 0.0}
        self.ended = False

    def run(self) -> None:
        while not self.ended:
            for pid in (one.name for one in Path("/proc").iterdir() if one.name.isdigit()):
                kind = self.kind(pid)
                if kind is not None:
                    self.most[kind] = max(self.most[kind], resident(pid))
            time.sleep(0.5)

    def kind(self, pid: str) -> str | None:
        if int(pid) == self.server:
            return "server"
        try:
            line = Path("/proc", pid, "cmdline").read_bytes()
        except OSError:
            return None
        return "tab" if b"--type=renderer" in line and b"extension" not in line else None


def resident(pid: str) -> float:
    """Resident set of a process in MB; 0 if it has ended."""
    try:
        lines = Path("/proc", pid, "status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(one.split()[1]) / 1024 for one in lines if one.startswith("VmRSS")), 0.0)


def waited(page: Any, what: Callable[[], object], began: float) -> float:
    """Wait until `what` returns True; returns the seconds since `began`."""
    while not what():
        if time.monotonic() - began > _PATIENCE_S:
            return float("inf")
        page.wait_for_timeout(30)
    return time.monotonic() - began


def click(page: Any) -> None:
    """Click on the middle of the first face."""
    box = page.locator(".face:visible").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def visit(page: Any, address: str, jump_s: float) -> None:
    """Use the page as a person does, and print the times."""
    began = time.monotonic()
    page.goto(address)
    faces = waited(page, lambda: page.locator(".face:visible").count(), began)
    print(f"{faces:6.2f} s  to the first faces", flush=True)
    page.locator("#play").click()
    click(page)
    clicked = time.monotonic()
    sounds = """(() => {
      const { running, waiting, voices_ready } = avse.state();
      return running && !waiting && String(Math.floor(avse.time() / 4)) in voices_ready;
    })()"""
    voice = waited(page, lambda: page.evaluate(sounds), clicked)
    print(f"{voice:6.2f} s  from the click on a face to its voice", flush=True)
    print(f"{time.monotonic() - began:6.2f} s  in all to the first voice", flush=True)
    page.wait_for_timeout(3000)
    print(f"{page.evaluate('avse.drift_ms()'):6.0f} ms picture ahead of sound", flush=True)
    if jump_s:
        began = time.monotonic()
        lanes = page.locator("#lanes")
        page.evaluate(f"avse.seek({jump_s})")
        lanes.wait_for()
        near = f"Math.abs(avse.time() - {jump_s}) < 8"
        jumped = waited(page, lambda: page.evaluate(f"{near} && {sounds}"), began)
        print(f"{jumped:6.2f} s  from a jump to {jump_s / 60:g} min to that voice", flush=True)
        page.wait_for_timeout(20_000)


def main() -> None:
    """Make the recording, open it, and print the measurements."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--jump", type=float, default=25, help="minute to jump to; 0: do not")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as name:
        os.environ["AVSE_CACHE"] = str(Path(name) / "cache")
        path = options.clip
        if options.minutes:
            path = Path(name) / f"looped{options.clip.suffix}"
            looped(options.clip, path, 60 * options.minutes)
        command = [sys.executable, "-m", "avse", "open", str(path), "--no-browser", "-q"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        memory = Memory()
        try:
            began = time.monotonic()
            address = server.stdout.readline().strip()
            print(f"{time.monotonic() - began:6.2f} s  to the address", flush=True)
            memory.server = server.pid
            memory.start()
            with sync_playwright() as driver:
                arguments = ["--autoplay-policy=no-user-gesture-required", "--no-sandbox"]
                browser = driver.chromium.launch(executable_path=chromium, args=arguments)
                page = browser.new_page(viewport={"width": 1200, "height": 800})
                visit(page, address, 60 * options.jump)
                browser.close()
        finally:
            memory.ended = True
            server.send_signal(signal.SIGINT)
            server.wait(10)
        for kind, most in memory.most.items():
            print(f"{most:6.0f} MB {kind}")


if __name__ == "__main__":
    main()
