from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from avse.cli import doctor
from avse.utils import shipped as files
from avse.utils.fingerprint import sha256

from .conftest import Run


@pytest.fixture
def shipped(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped weights with one model in it, the default; the path of its file."""
    folder = tmp_path / "pretrained"
    folder.mkdir()
    file = folder / "first.safetensors"
    file.write_bytes(model.read_bytes())
    entry = {
        "name": "avse-small",
        "file": file.name,
        "sha256": sha256(file),
        "description": "A tiny one.",
        "licence": "MIT",
        "data": "nothing at all",
        "quality": "none",
    }
    (folder / "index.json").write_text(json.dumps([entry]), encoding="utf-8")
    monkeypatch.setattr(files, "pretrained_folder", lambda: folder)
    # The networks of the face backend are not in that folder.
    monkeypatch.setattr("avse.faces.detect.open_backend", lambda name: None)
    return file


def test_list(run: Run, shipped: Path) -> None:
    ran = run("models", "list")
    assert (ran.code, ran.err) == (0, "")
    for part in ("avse-small (default)", " MB", "MIT", "nothing at all", "none"):
        assert part in ran.out


def test_list_json(run: Run, shipped: Path) -> None:
    (model,) = json.loads(run("models", "list", "--json").out)["models"]
    assert model == {
        "name": "avse-small",
        "kind": "separation",
        "default": True,
        "megabytes": round(shipped.stat().st_size / 1e6, 1),
        "sha256": sha256(shipped),
        "description": "A tiny one.",
        "licence": "MIT",
        "data": "nothing at all",
        "quality": "none",
    }


def test_list_without_any(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "pretrained_folder", lambda: tmp_path)
    ran = run("models", "list", "--json")
    assert (ran.code, json.loads(ran.out)) == (0, {"models": []})
    assert len(ran.errors) == 1
    assert run("models", "verify").code == 3


def test_verify(run: Run, shipped: Path, model: Path) -> None:
    digest = sha256(shipped)
    for arguments, name in (((), "avse-small"), (("avse-small",), "avse-small"), ((model,), model)):
        ran = run("models", "verify", *arguments)
        assert (ran.code, ran.out, ran.err) == (0, f"{name}: ok, sha256 {digest}\n", "")


def test_verify_finds_damage(run: Run, shipped: Path) -> None:
    content = bytearray(shipped.read_bytes())
    content[-1] ^= 1
    shipped.write_bytes(content)
    ran = run("models", "verify")
    assert (ran.code, ran.out) == (3, "")
    assert "damaged" in ran.errors[0]
    shipped.unlink()
    assert run("models", "verify").code == 3
    assert "missing" in run("models", "list").out


@pytest.mark.parametrize("content", [b"", b"hello", bytes(range(256)) * 64])
def test_verify_refuses_what_is_no_model(run: Run, content: bytes) -> None:
    Path("mine.safetensors").write_bytes(content)
    ran = run("models", "verify", "mine.safetensors")
    assert (ran.code, ran.out) == (3, "")
    assert "mine.safetensors" in ran.errors[0]
    assert ran.errors[1].startswith("hint: ")


def test_doctor_is_content(run: Run, shipped: Path) -> None:
    ran = run("doctor")
    assert (ran.code, ran.errors) == (0, ["avse: everything essential is here"])
    for part in ("torch", "FFmpeg", "h264", "aac", "onnxruntime", "avse-small", "verified"):
        assert part in ran.out
    assert "BROKEN" not in ran.out
    assert "MISSING" not in ran.out
    assert str(Path.home()) not in ran.out


def test_doctor_reports_damage(run: Run, shipped: Path) -> None:
    shipped.write_bytes(b"x")
    ran = run("doctor", "--json")
    assert ran.code == 3
    assert "weights avse-small" in ran.errors[0]
    found = json.loads(ran.out)
    assert list(found) == ["ok", "checks"]
    assert found["ok"] is False
    for check in found["checks"]:
        assert list(check) == ["group", "name", "status", "detail", "essential"]
    bad = [c["name"] for c in found["checks"] if c["essential"] and c["status"] != "ok"]
    assert bad == ["avse-small"]


def test_doctor_finds_nothing_wrong_with_what_is_shipped(run: Run) -> None:
    checks = json.loads(run("doctor", "--json").out)["checks"]
    found = {check["name"]: check for check in checks if check["group"] == "weights"}
    assert set(found) == {entry.name for entry in files.shipped()}
    for check in found.values():
        assert check["status"] == "ok"
        assert check["detail"].startswith("verified")


def test_doctor_knows_every_extra_that_a_run_may_need() -> None:
    text = Path(__file__).parents[2].joinpath("pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    stated = {
        extra: {re.split(r"[\[<>=]", package)[0] for package in packages} - {"avse"}
        for extra, packages in project["optional-dependencies"].items()
        if extra not in ("dev", "docs", "examples")
    }
    assert {extra: set(packages) for extra, packages in doctor.EXTRAS.items()} == stated


def test_doctor_tells_extras_that_are_missing_or_do_not_load(
    run: Run, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "site"
    (broken / "broken_package-1.5.dist-info").mkdir(parents=True)
    (broken / "broken_package-1.5.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: broken-package\nVersion: 1.5\n"
    )
    (broken / "broken_package.py").write_text("raise ImportError('a library of 1998 is needed')")
    monkeypatch.syspath_prepend(broken)
    extras = {
        "identity": {"no-such-package": "no_such_package"},
        "preview": {"broken-package": "broken_package"},
        "metrics": {"numpy": "numpy"},
    }
    monkeypatch.setattr(doctor, "EXTRAS", extras)
    ran = run("doctor", "--json")
    assert ran.code == 0  # none of them is essential
    found = {c["name"]: c for c in json.loads(ran.out)["checks"] if c["group"] == "extra"}
    assert found["identity"]["status"] == "missing"
    assert found["identity"]["detail"] == (
        'no-such-package not installed; pip install "avse[identity]"'
    )
    assert found["preview"]["status"] == "broken"
    assert "1.5 cannot be loaded: a library of 1998 is needed" in found["preview"]["detail"]
    assert 'pip install "avse[preview]"' in found["preview"]["detail"]
    assert found["metrics"]["status"] == "ok"
    assert "pip" not in found["metrics"]["detail"]


def test_verify_tells_by_the_file_what_kind_of_weights_it_holds(run: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(files.find("avse-offscreen")[0].read_bytes())
    ran = run("models", "verify", mine)
    assert (ran.code, ran.err) == (0, "")


def test_doctor_survives_a_broken_part(
    run: Run, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import avse.faces.detect

    def fail(name: str) -> None:
        raise RuntimeError("no graph\nat all")

    monkeypatch.setattr(avse.faces.detect, "open_backend", fail)
    ran = run("doctor")
    assert ran.code == 3
    assert "no graph" in ran.out
    assert ran.errors[0] == "avse: error: missing or broken: faces native"
