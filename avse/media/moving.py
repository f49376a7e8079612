"""Move the sound of a file against its picture: packets are copied, time stamps change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avse.errors import NoAudioError
from avse.media.atomic_files import explain, place, temporary_name
from avse.media.copying import check_copy, copy_all
from avse.media.encoding import CONTAINERS
from avse.media.opening import Damage, StrPath, open_input, read_packets
from avse.media.probe import MediaInfo, probe

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

    from avse.media.copying import Copier


@dataclass(frozen=True)
class MoveResult:
    """What was written.

    Attributes:
        path: the file.
        dropped: what the container could not take and was left out, in words.
        skipped: packets of the source that could not be read.
    """

    path: Path
    dropped: tuple[str, ...]
    skipped: int


@dataclass(frozen=True)
class Move:
    """By how many seconds later each kind of stream comes; one of the two is 0."""

    sound: Fraction
    others: Fraction


def move_sound(
    source: StrPath, destination: StrPath, earlier: Fraction, *, overwrite: bool = False
) -> MoveResult:
    """Write a copy of a file in which every sound track comes earlier, or later.

    Nothing is encoded again and every packet is kept. MP4 and MOV play what would come before the
    beginning from the middle of a packet on (an edit list); Matroska and WebM know no time before
    0, so there all that is not sound comes later instead, chapters included.

    Args:
        source: the file to copy.
        destination: .mp4, .m4v, .mov, .mkv or .webm.
        earlier: seconds; negative is later.
        overwrite: replace a file that exists already.

    Raises:
        MediaError: the source cannot be read.
        NoAudioError: it has no sound.
        OutputExistsError: the destination exists and `overwrite` is false.
        OutputError: the container is not supported, the disk is full, or the folder is missing or
            read-only.
        ContainerError: the container does not take a picture or a sound track.
    """
    target = Path(destination)
    info = probe(source)
    if not info.audio:
        raise NoAudioError(f"{info.path.name}: there is no sound to move", "check the file")
    kind = check_copy(info.path, target, overwrite=overwrite)
    temporary = temporary_name(target)
    damage = Damage()
    try:
        with open_input(source) as container:
            dropped = _write(container, info, temporary, target, plan(info, kind, earlier), damage)
        place(temporary, target, overwrite=overwrite)
    finally:
        temporary.unlink(missing_ok=True)
    return MoveResult(target, dropped, damage.skipped)


def plan(info: MediaInfo, kind: str, earlier: Fraction) -> Move:
    """Which streams have to move.

    Args:
        info: the source.
        kind: FFmpeg's name of the container to write.
        earlier: seconds by which the sound has to come earlier.
    """
    first = min((track.start for track in info.audio), default=Fraction(0))
    if kind in ("mp4", "mov") or first >= earlier:
        return Move(-earlier, Fraction(0))
    return Move(Fraction(0), earlier)


def _write(
    source: InputContainer,
    info: MediaInfo,
    temporary: Path,
    target: Path,
    move: Move,
    damage: Damage,
) -> tuple[str, ...]:
    import av
    from av.error import FFmpegError

    kind = CONTAINERS[target.suffix.lower()][0]
    # By default everything would be pushed back up to 0 together.
    options = {"avoid_negative_ts": "disabled"}
    if kind in ("mp4", "mov"):  # starts and edits are written in these units; 1 ms by default
        options["movie_timescale"] = "90000"
    try:
        with av.open(
            f"file:{temporary.absolute()}", "w", format=kind, container_options=options
        ) as output:
            copier = copy_all(source, output, kind, info)
            copier.copy_tags(move.others)
            output.start_encoding()
            _copy(source, output, copier, move, damage)
    except (FFmpegError, OSError) as error:
        raise explain(target, error) from error
    return tuple(copier.dropped)


def _copy(
    source: InputContainer, output: OutputContainer, copier: Copier, move: Move, damage: Damage
) -> None:
    for packet in read_packets(source, copier.streams, damage):
        if packet.dts is None and packet.pts is None:
            continue  # the flushing packet at the end
        output.mux(list(_moved(copier.copies(packet), move)))
    output.mux(list(_moved(copier.rest(), move)))


def _moved(packets: Iterator[Packet[Any]], move: Move) -> Iterator[Packet[Any]]:
    for packet in packets:
        later = move.sound if packet.stream.type == "audio" else move.others
        ticks = round(later / packet.time_base)
        packet.dts = None if packet.dts is None else packet.dts + ticks
        packet.pts = None if packet.pts is None else packet.pts + ticks
        yield packet
