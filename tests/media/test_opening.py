"""What is opened, and why the rest is not: nothing but the file itself is ever read."""

from __future__ import annotations

import ast
from pathlib import Path

import av
import pytest

import avse
from avse.errors import MediaError
from avse.media import AudioReader, FrameReader, probe

from .media_files import Picture, Sound

PLAYLISTS = {
    "list.ffconcat": ("ffconcat version 1.0\nfile '{0}'\n", "ffconcat"),
    "list.mp4": ("ffconcat version 1.0\nfile '{0}'\n", "ffconcat"),
    "live.m3u8": ("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{0}\n", "HLS"),
    "live.mp4": ("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{0}\n", "HLS"),
    "dash.mpd": ('<?xml version="1.0"?>\n<MPD><BaseURL>{0}</BaseURL></MPD>\n', "DASH"),
    "call.sdp": ("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 5004 RTP/AVP 0\n", "SDP"),
    "radio.pls": ("[playlist]\nFile1={0}\n", "playlist"),
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_is_refused_whatever_its_name(media, name):
    text, kind = PLAYLISTS[name]
    film = media("film.ts", Picture(), Sound())
    path = film.with_name(name)
    path.write_text(text.format(film.name))
    for use in (probe, AudioReader, FrameReader):
        with pytest.raises(MediaError, match=kind) as caught:
            use(path)
        assert caught.value.hint


@pytest.mark.parametrize("address", ["https://example.org/a.mp4?b=1", "rtsp://camera/1"])
def test_an_address_is_named_as_such(address):
    for given in (address, Path(address)):
        with pytest.raises(MediaError, match=": is a URL") as caught:
            probe(given)
        assert address in caught.value.message
        assert "download" in caught.value.hint


def test_every_input_is_opened_in_one_place():
    package = Path(avse.__file__).parent
    opening = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "av.open"
        and not any(ast.unparse(a) == "'w'" for a in call.args)
    }
    assert opening == {
        "media/opening.py",
        "training/degradation.py",  # from memory, what was written a moment before
    }


def _protected(media, how):
    film = media("film.mp4", Picture(), Sound())
    path = film.with_name("protected.mp4")
    if how == "cenc":
        keys = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16}
        keys["encryption_kid"] = "a7" * 16
        with av.open(str(film)) as old, av.open(str(path), "w", container_options=keys) as new:
            copies = {s.index: new.add_stream_from_template(s, opaque=True) for s in old.streams}
            for packet in old.demux():
                if packet.dts is not None:
                    packet.stream = copies[packet.stream_index]
                    new.mux(packet)
    else:
        path.write_bytes(film.read_bytes().replace(b"avc1", b"drmi").replace(b"mp4a", b"drms"))
    return path


@pytest.mark.parametrize("how", ["cenc", "fairplay"])
def test_what_is_encrypted_is_said_to_be(media, how):
    with pytest.raises(MediaError, match=r"is encrypted \(DRM\)"):
        probe(_protected(media, how))


def test_a_picture_in_an_unknown_codec_is_said_to_be_that(media):
    film = media("film.mp4", Picture(), Sound())
    film.write_bytes(film.read_bytes().replace(b"avc1", b"xxxx"))
    (unknown,) = probe(film).others
    assert (unknown.kind, unknown.codec) == ("picture", None)
    alone = media("alone.mp4", Picture())
    alone.write_bytes(alone.read_bytes().replace(b"avc1", b"xxxx"))
    with pytest.raises(MediaError, match="codec of its picture is unknown"):
        probe(alone)
