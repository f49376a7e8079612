"""How good an estimate is. Imports nothing of avse but `avse.errors`."""

from __future__ import annotations

from avse.metrics.si_sdr import si_sdr

__all__ = ["si_sdr"]
