"""The request of a batch for each recording, and a digest that identifies it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from avse.scene.corrections import read_corrections
from avse.scene.naming import Naming, check_template
from avse.scene.speakers import Speakers
from avse.separation.job import Job
from avse.settings import Settings

_ELSEWHERE = ("model", "offscreen_model", "device", "people", "cache")
"""Settings that are not part of the digest: weights and people have separate hashes, and the
device and the cache do not change the request."""


@dataclass(frozen=True)
class Request:
    """The request for each recording.

    Attributes:
        verb: "separate": a file for each voice; "enhance": one with all visible people.
        speakers: the people to separate.
        template: pattern of output names, see `avse.scene.naming`.
        settings: settings of the separation.
        residual: whether to write the residual too.
        clip: what to do where an integer file would clip.
        keep_original_audio: whether videos keep the original sound as well.
        people_sha256: hash of the file of people, if there is one.
        offscreen_sha256: hash of the off-screen weights, if voices are tracked off-screen.
    """

    verb: Literal["separate", "enhance"]
    speakers: Speakers
    template: str
    settings: Settings
    residual: bool = False
    clip: Literal["rescale", "clamp", "none"] = "rescale"
    keep_original_audio: bool = False
    people_sha256: str | None = None
    offscreen_sha256: str | None = None

    def corrected(self, sha256: str) -> str | None:
        """Digest of the corrections of a recording of that content, if they are to be used.

        Raises:
            InputError: they cannot be read.
        """
        return read_corrections(sha256).digest() if self.settings.corrections else None

    @property
    def suffix(self) -> str:
        """Ending of every output, with the dot."""
        return check_template(self.template)

    def digest(self, corrected: str | None = None) -> str:
        """SHA-256 of everything that determines the outputs, except the weights.

        Args:
            corrected: digest of the corrections of the recording, if there are any.
        """
        about = {**asdict(self), "speaker": self.speakers.as_json()}
        del about["speakers"]
        if self.settings.corrections:  # as in the manifests of versions without corrections
            del about["settings"]["corrections"]
        if corrected is not None:
            about["corrected"] = corrected
        for name in _ELSEWHERE:
            del about["settings"][name]
        if not self.settings.same:  # as in the manifests of versions that could not join people
            del about["settings"]["same"]
        if not self.settings.picture:  # likewise
            del about["settings"]["picture"]
        if self.people_sha256 is None:  # as in the manifests of versions that knew no names
            del about["people_sha256"]
        for name in ("start", "end"):  # ... and no parts
            if about["settings"][name] is None:
                del about["settings"][name]
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    def naming(self, source: Path, folder: Path) -> Naming:
        """Names of a recording's outputs in a folder."""
        return Naming(source, folder, None, self.template, self.suffix)

    def job(self, source: Path, folder: Path, *, window_s: float, device: str) -> Job:
        """The work on one recording.

        Args:
            source: the recording.
            folder: folder for outputs.
            window_s: window in seconds; smaller than requested if memory is short.
            device: compute device.
        """
        return Job(
            source=source,
            speakers=self.speakers,
            together=self.verb == "enhance",
            naming=self.naming(source, folder),
            settings=replace(self.settings, window_s=window_s, device=device),
            residual=self.residual,
            clip=self.clip,
            keep_original_audio=self.keep_original_audio,
            force=False,
            dry_run=False,
        )
