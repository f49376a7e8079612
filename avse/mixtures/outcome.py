"""The result of planning a test set."""

from __future__ import annotations

from dataclasses import dataclass

from avse.errors import AvseError
from avse.mixtures.manifest import Manifest


@dataclass(frozen=True)
class Failure:
    """An item that cannot be made.

    Attributes:
        id: id of the item.
        error: the reason.
    """

    id: str
    error: AvseError


@dataclass(frozen=True)
class MixturePlan:
    """A planned set.

    Attributes:
        manifest: the items to make, without the failures.
        failures: items that cannot be made.
        warnings: messages to the user.
    """

    manifest: Manifest
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...]
