"""Command line over environment over file over defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from avse.settings import Settings

from .conftest import Run


@pytest.fixture
def used(run: Run, monkeypatch: pytest.MonkeyPatch, short: Path) -> object:
    """Gives the settings that a command line leads to."""
    import avse.scene.scene
    import avse.separation.separator

    def settings(*arguments: object) -> Settings:
        seen: list[Settings] = []

        def keep(settings: Settings, **_: object) -> None:
            seen.append(settings)
            raise KeyboardInterrupt

        # Which of the two comes first depends on the device.
        monkeypatch.setattr(avse.scene.scene, "look", lambda _, settings, **__: keep(settings))
        monkeypatch.setattr(avse.separation.separator, "Separator", keep)
        assert run("separate", short, *arguments).code == 130
        return seen[0]

    return settings


def test_defaults_are_those_of_the_library(used) -> None:
    assert used() == Settings()


def test_precedence(used, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.toml").write_text(
        'mix = 0.1\ndevice = "cuda:7"\nsheet = "f.png"\n[separate]\nwindow = 4\nmix = 0.2\n'
        "[inspect]\nforce = true\n",
        encoding="utf-8",
    )
    got = used("--config", "mine.toml")
    assert (got.mix, got.device, got.window_s) == (0.2, "cuda:7", 4.0)
    monkeypatch.setenv("AVSE_MIX", "0.3")
    monkeypatch.setenv("AVSE_CONFIG", "mine.toml")
    got = used()
    assert (got.mix, got.device, got.window_s) == (0.3, "cuda:7", 4.0)
    got = used("--mix", "0.4", "-d", "cpu")
    assert (got.mix, got.device, got.window_s) == (0.4, "cpu", 4.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("windw = 4", "windw"),
        ("[separat]\nwindow = 4", "[separat]"),
        ('[separate]\nsheet = "a.png"', "separate.sheet"),
        ("keep_original_audio = true", "keep_original_audio"),
        ("window = [4]", "window"),
        ("window = ", "not TOML"),
        ('window = "long"', "--window"),
        ("separate = 3", "separate"),
        ('config = "other.toml"', "config"),
    ],
)
def test_a_bad_file_is_a_usage_error(run: Run, short: Path, text: str, says: str) -> None:
    Path("bad.toml").write_text(text, encoding="utf-8")
    ran = run("separate", short, "--config", "bad.toml")
    assert (ran.code, ran.out) == (2, "")
    error, hint = ran.errors
    assert says in error
    assert hint.startswith("hint: ")


def test_a_missing_file_is_a_usage_error(run: Run, short: Path) -> None:
    ran = run("separate", short, "--config", "none.toml")
    assert ran.code == 2
    assert "none.toml" in ran.errors[0]


def test_a_setting_may_be_called_like_a_verb(run: Run) -> None:
    Path("mine.toml").write_text("mix = 0.1\n", encoding="utf-8")
    refused = run("mix", "no-such-folder", "-o", "set", "--config", "mine.toml")
    assert "mine.toml" not in refused.err
    assert "no-such-folder" in refused.err


def test_an_option_that_may_be_given_twice(used) -> None:
    assert used("--same", "2=3", "--same", "5=6").same == ((2, 3), (5, 6))
    Path("mine.toml").write_text('same = "2=3,4=5"\n', encoding="utf-8")
    assert used("--config", "mine.toml").same == ((2, 3), (4, 5))
