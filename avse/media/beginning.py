"""Copy the beginning of a file to another file, packet by packet."""

from __future__ import annotations

from pathlib import Path

from avse.media.opening import open_input, usable_audio, usable_video


def copy_beginning(source: Path, path: Path, *, seconds: float) -> None:
    """Copy the packets of pictures and sound up to a time; nothing is encoded again.

    Streams that cannot be decoded are left out. The others keep their order, and so their picture
    and track numbers.

    Args:
        source: a media file.
        path: the file to write; its ending chooses the container. Matroska (.mkv) holds most
            codecs.
        seconds: decoding time at which a stream ends, from the first time stamp of the file on.
            Some of the last pictures may be shown later than that.

    Raises:
        MediaError: the source cannot be read.
        OSError, ValueError: PyAV cannot read the source or write the copy.
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
                    break  # the rest need not be read
                continue
            packet.stream = copies[packet.stream_index]
            new.mux(packet)
