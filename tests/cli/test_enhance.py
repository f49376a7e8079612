from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from .conftest import Run


def test_everybody_in_one_file_is_the_sum_of_the_voices(run: Run, duet: Path, model: Path) -> None:
    ran = run("enhance", duet, "-m", model, "--residual")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.split() == ["duet.enhanced.wav", "duet.residual.wav"]
    assert run("separate", duet, "-m", model, "-o", "each").code == 0
    together, one, two = (
        soundfile.read(path)[0]
        for path in ("duet.enhanced.wav", "each/duet.1.wav", "each/duet.2.wav")
    )
    np.testing.assert_allclose(together, one + two, atol=1e-6)


def test_json(run: Run, duet: Path, model: Path) -> None:
    ran = run("enhance", duet, "-m", model, "--json", "-o", "clean.flac", "--residual")
    found = json.loads(ran.out)
    assert found.pop("sync")["out_of_step"] in (True, False)
    assert found == {
        "input": str(duet),
        "sample_rate": 48000,
        "output": "clean.flac",
        "residual": "clean.residual.flac",
        "reports": [],
    }
    assert sorted(p.name for p in Path().iterdir()) == ["clean.flac", "clean.residual.flac"]


def test_into_a_folder_without_residual(run: Run, duet: Path, model: Path) -> None:
    ran = run("enhance", duet, "-m", model, "--json", "-o", "out/", "--dry-run")
    assert json.loads(ran.out)["output"] == str(Path("out", "duet.enhanced.wav"))
    assert json.loads(ran.out)["residual"] is None
    assert list(Path().iterdir()) == []
