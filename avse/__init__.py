"""avse: point at a face in a video, get that person's voice."""

__version__ = "0.1.0"
