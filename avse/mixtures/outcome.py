"""What planning a test set comes to."""

from __future__ import annotations

from dataclasses import dataclass

from avse.errors import AvseError
from avse.mixtures.manifest import Manifest


@dataclass(frozen=True)
class Failure:
    """An item that cannot be made.

    Attributes:
        id: of the item.
        error: why.
    """

    id: str
    error: AvseError


@dataclass(frozen=True)
class MixturePlan:
    """A set that is settled and not yet made.

    Attributes:
        manifest: what to make; failures are not in it.
        failures: items that were drawn and cannot be made.
        warnings: what the user should know.
    """

    manifest: Manifest
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...]
