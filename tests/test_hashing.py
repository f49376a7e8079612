"""What files are known by."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from avse.utils.fingerprint import sha256


@pytest.mark.parametrize("size", [0, 1, 300_001])
def test_the_whole_file_is_hashed(tmp_path: Path, size: int) -> None:
    content = bytes(n % 251 for n in range(size))
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_missing_file_is_no_digest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sha256(tmp_path / "none")
