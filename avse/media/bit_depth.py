"""The bit depth of a sound track's samples, before they were compressed."""

from __future__ import annotations

import re

_PCM = re.compile(r"pcm_(?P<kind>[suf])(?P<bits>8|16|24|32|64)")
_LOSSLESS = frozenset({"wavpack", "tta", "truehd", "mlp", "ape", "tak", "shorten", "mp4als"})


def source_depth(
    codec: str, sample_format: str, extradata: bytes | None
) -> tuple[int | None, bool]:
    """Bit depth of a lossless source, and whether its samples are floating point.

    Args:
        codec: FFmpeg's name of the decoder.
        sample_format: the sample format of decoded frames, such as "s32p".
        extradata: the codec's header, if any.

    Returns:
        Bits per sample, None for lossy codecs; and whether samples are floating point.
    """
    pcm = _PCM.match(codec)
    if pcm:
        return int(pcm["bits"]), pcm["kind"] == "f"
    header = extradata or b""
    decoded = sample_format.removesuffix("p")
    if codec == "flac":
        if len(header) >= 14:  # STREAMINFO: 20 bits rate, 3 bits channels - 1, 5 bits depth - 1
            return _whole_bytes((int.from_bytes(header[10:14], "big") >> 4 & 31) + 1), False
        return (16 if decoded == "s16" else 24), False
    if codec == "alac":
        return _whole_bytes(header[17] if len(header) > 17 else 16), False
    if codec in _LOSSLESS:
        if decoded in ("flt", "dbl"):
            return 32, True
        return {"u8": 8, "s16": 16}.get(decoded, 24), False
    return None, False


def _whole_bytes(bits: int) -> int:
    return max(8, -(-bits // 8) * 8)
