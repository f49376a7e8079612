"""Suffixes of the files that are read from folders. A file given by name may have any suffix.

Those that can be written are in `avse.media`: `SOUND_SUFFIXES` and `encoding.CONTAINERS`.
"""

from __future__ import annotations

_VIDEO = "mp4 m4v mov mkv webm avi mpg mpeg ts mts m2ts wmv flv 3gp ogv vob mxf"
_SOUND = "wav flac mp3 m4a aac ogg oga opus wma aif aiff caf"

VIDEO_FILES = frozenset(f".{ending}" for ending in _VIDEO.split())
"""Suffixes of videos, in lower case, with the dot."""

SOUND_FILES = frozenset(f".{ending}" for ending in _SOUND.split())
"""Suffixes of files of sound alone, in lower case, with the dot."""
