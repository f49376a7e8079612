"""Copy the original sound beside the report, so that the report plays before and after."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from avse.batch.cards import likely_plays, read_card
from avse.batch.listeners import Interrupts, Watcher
from avse.batch.manifest import Manifest, Record, refuse_link
from avse.batch.process_pool import Executor
from avse.errors import MediaError
from avse.media.atomic_files import appearing, writing
from avse.scene.part import find_part
from avse.settings import Settings
from avse.utils.file_state import Mark

if TYPE_CHECKING:
    from avse.batch.plan import Item

ORIGINALS = "avse-batch-originals"
"""Folder of the copies, beside the report."""

_BIT_RATE = 64_000  # a channel: 1 MB for a minute in stereo
_MOST_CHANNELS = 2
_WAIT_S = 0.5
# Hides the encoder's delay, so that sample 0 plays at 0; plays from servers without ranges too.
_CONTAINER = {"avoid_negative_ts": "disabled", "movflags": "faststart"}


@dataclass(frozen=True)
class CopyTask:
    """Task: copy the sound of a recording or of its processed part.

    Attributes:
        source: absolute path.
        mark: mark of the processed file.
        settings: give the sound track and the part.
        target: path of the copy.
    """

    source: str
    mark: Mark
    settings: Settings
    target: str


def name_of_copy(mark: Mark, settings: Settings) -> str:
    """Path of a copy below the folder of the report, unique for each sound."""
    about = repr((mark.sha256, settings.track, settings.start, settings.end))
    return f"{ORIGINALS}/{hashlib.sha256(about.encode()).hexdigest()[:20]}.m4a"


def within(output: Path, source: Path) -> str | None:
    """The path of a recording below the folder of the report; None if it lies elsewhere.

    A file behind a link counts as elsewhere, because the folder can be moved without it.
    """
    if not source.is_relative_to(output) or not source.is_file():
        return None
    below = source.relative_to(output)
    same = os.path.realpath(source) == str(Path(os.path.realpath(output)) / below)
    return below.as_posix() if same else None


def copy_originals(
    crew: Executor,
    items: Sequence[Item],
    manifest: Manifest,
    output: Path,
    cards: Path,
    settings: Settings,
    watcher: Watcher,
    interrupts: Interrupts,
) -> None:
    """Copy the sound of every recording that is done, unless the report can play the original.

    If a sound cannot be copied, the report warns and only lacks its player.

    Raises:
        OutputError: the folder of the copies cannot be made, or is a link.
    """
    refuse_link(output / ORIGINALS)
    tasks: dict[str, CopyTask] = {}
    for item in items:
        record = manifest.latest.get(str(item.source))
        if record is None or record.status != "done" or record.input_mark is None:
            continue
        target = output / name_of_copy(record.input_mark, settings)
        if not target.exists() and not _plays(item, record, output, cards):
            source = str(item.source)
            tasks[str(target)] = CopyTask(source, record.input_mark, settings, str(target))
    if not tasks:
        return
    with writing(output):
        (output / ORIGINALS).mkdir(exist_ok=True)
    watcher.say(f"copying the original sound of {len(tasks)} recordings for the report")
    waiting = list(reversed(tasks.values()))
    while (waiting and not interrupts.count) or crew.busy():
        while waiting and not interrupts.count and crew.idle():
            crew.give(waiting.pop())
        for report in crew.wait(_WAIT_S):
            if report.trouble is not None:
                name = Path(report.task.source).name
                watcher.warn(
                    f"{name}: the report has no original sound of it: {report.trouble.message}"
                )


def _plays(item: Item, record: Record, output: Path, cards: Path) -> bool:
    """Whether the report can play the original in its place."""
    if within(output, item.source) is None:
        return False
    card = read_card(cards / f"{item.key}.json")
    return bool(likely_plays(record.input) if card is None else card.before.plays)


def copy_sound(task: CopyTask) -> None:
    """Write the copy: AAC, which every browser plays, from the first sample on.

    Raises:
        MediaError: the recording cannot be read, or is not the processed one.
        OutputError: the copy cannot be written.
    """
    import av

    from avse.media import AudioReader, probe
    from avse.media.encoding import SpeechEncoder, choose_encoding

    source, target, settings = Path(task.source), Path(task.target), task.settings
    if not task.mark.holds(source):
        raise MediaError(f"{source} is gone or has changed", "run the batch again")
    info = probe(source)
    part = find_part(info, settings)
    track = info.default_track if settings.track is None else settings.track
    mono = info.audio[track].channels > _MOST_CHANNELS
    with (
        AudioReader(source, track=track, mono=mono, start=part.start, stop=part.stop) as sound,
        appearing(target) as temporary,
        av.open(f"file:{temporary}", "w", format="mp4", container_options=_CONTAINER) as output,
    ):
        rate, channels = sound.sample_rate, sound.channels
        voice = SpeechEncoder(
            choose_encoding(".mp4", "aac", rate, channels, None, _BIT_RATE * channels),
            (block.samples for block in sound),
            sample_rate=rate,
            channels=channels,
            layout=None,
            start=Fraction(0),
            tags={},
        )
        voice.join(output)
        for packet in voice.packets_until(None):
            output.mux(packet)
