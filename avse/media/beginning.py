"""The beginning of a file as a file of its own, packets copied."""

from __future__ import annotations

from pathlib import Path

from avse.media.opening import open_input, usable_audio, usable_video


def copy_beginning(source: Path, path: Path, *, seconds: float) -> None:
    """Copy the packets of pictures and sound up to a time; nothing is coded anew.

    What cannot be decoded is left out, so that tracks and pictures keep their numbers.

    Args:
        source: a media file.
        path: where to; its ending chooses the container, and .mkv takes most codecs.
        seconds: from the first time stamp of the file on, by the order of decoding: pictures that
            are shown after this may be among them.

    Raises:
        MediaError: the source cannot be read.
        OSError, ValueError: PyAV cannot read the one or write the other.
    """
    import av

    with open_input(source) as old, av.open(str(path), "w") as new:
        streams = [*usable_video(old), *usable_audio(old)]
        copies = {stream.index: new.add_stream_from_template(stream) for stream in streams}
        begin = (old.start_time or 0) / av.time_base
        running = {stream.index for stream in streams}
        for packet in old.demux(*streams):
            if packet.dts is None or packet.stream_index not in running:
                continue
            if packet.dts * packet.time_base - begin >= seconds:
                running.discard(packet.stream_index)
                if not running:
                    break  # what follows may be hours
                continue
            packet.stream = copies[packet.stream_index]
            new.mux(packet)
