"""Shift the sound of a file against its picture: packets are copied with other time stamps."""

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
    """The result of `move_sound`.

    Attributes:
        path: the file that was written.
        dropped: descriptions of the streams that were left out, because the container cannot hold
            them.
        skipped: number of times that reading the source failed.
    """

    path: Path
    dropped: tuple[str, ...]
    skipped: int


@dataclass(frozen=True)
class Move:
    """The shift of each kind of stream; one of the two is 0.

    Attributes:
        sound: seconds by which sound comes later, negative for earlier.
        others: seconds by which all other streams come later.
    """

    sound: Fraction
    others: Fraction


def move_sound(
    source: StrPath, destination: StrPath, earlier: Fraction, *, overwrite: bool = False
) -> MoveResult:
    """Write a copy of a file in which every sound track comes earlier or later.

    Nothing is encoded again, and every packet is kept. Sound that comes before the beginning is
    hidden by an edit list in MP4 and MOV. Matroska and WebM have no time before 0; there, all other
    streams and the chapters come later instead.

    Args:
        source: the file to copy.
        destination: path of the copy: .mp4, .m4v, .mov, .mkv or .webm.
        earlier: seconds by which the sound comes earlier; negative for later.
        overwrite: replace a file that exists already.

    Raises:
        MediaError: the source cannot be read.
        NoAudioError: the source has no sound.
        OutputExistsError: the destination exists and `overwrite` is false.
        OutputError: the container is not supported, the disk is full, or the folder is missing or
            read-only.
        ContainerError: the container cannot hold one of the pictures or sound tracks.
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
    """Decide which streams are shifted.

    Args:
        info: the source.
        kind: FFmpeg's name of the container to write.
        earlier: seconds by which the sound has to come earlier; negative for later.
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
    # By default, FFmpeg would shift all streams until no time stamp is negative.
    options = {"avoid_negative_ts": "disabled"}
    if kind in ("mp4", "mov"):  # the unit of starts and edits; 1 ms by default
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
