"""The public names are there, and importing the package is quick."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_every_public_name_is_there_however_modules_were_imported() -> None:
    import avse.scene.scene
    import avse.separation.separator

    for _ in range(2):
        for name in avse.__all__:
            assert getattr(avse, name) is not None
            assert name in dir(avse)
        assert callable(avse.separate)
        assert callable(avse.look)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = avse.nothing


def test_importing_avse_imports_no_heavy_package() -> None:
    code = (
        "import sys, avse, avse.errors, avse.settings; "
        "print([m for m in ('torch', 'numpy', 'av', 'mediapipe', 'cv2') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_error_has_an_exit_code_and_a_hint() -> None:
    from avse import errors

    kinds = [k for k in vars(errors).values() if isinstance(k, type)]
    assert {k.exit_code for k in kinds if issubclass(k, errors.UsageError)} == {2}
    assert {k.exit_code for k in kinds if issubclass(k, errors.MissingError)} == {3}
    assert {k.exit_code for k in kinds if issubclass(k, errors.InputError)} == {1}
    for kind in kinds:
        error = kind("what", "next step")
        assert (str(error), error.hint) == ("what", "next step")
        assert kind.__name__ in (errors.__doc__ or "")
