"""Read defaults from a TOML file; the command line and the environment take precedence.

device = "cuda"            # for every verb that has the option

[separate]
residual = true            # for one verb
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from avse.errors import UsageError
from avse.utils.paths import user_path
from avse.utils.schema import load_toml

_NOT_HERE = {"config", "help", "version", "install-completion", "show-completion"}


def use_configuration(context: typer.Context, path: str | None) -> str | None:
    """Callback of --config: make the values in the file the defaults of this verb."""
    if path is None or context.resilient_parsing:
        return path
    verb = context.info_name or ""
    options = dict(_options(context.command))
    everywhere, verbs = _of_all_verbs(context.find_root().command)
    defaults: dict[str, Any] = dict(context.default_map or {})
    table = _read(user_path(path))
    # An option may have the name of a verb ("mix"): only a table holds that verb's options.
    own = table.pop(verb) if isinstance(table.get(verb), dict) else {}
    for key, value in table.items():
        if isinstance(value, dict):
            if key not in verbs:
                raise _unknown(path, f"[{key}]", verbs)
        elif key not in everywhere:
            raise _unknown(path, key, everywhere)
        elif key in options:
            defaults[options[key]] = _plain(path, key, value)
    if not isinstance(own, dict):
        raise _unknown(path, verb, everywhere)
    for key, value in own.items():
        if key not in options:
            raise _unknown(path, f"{verb}.{key}", set(options))
        defaults[options[key]] = _plain(path, key, value)
    for parameter in context.command.params:
        value = defaults.get(parameter.name or "")
        if getattr(parameter, "multiple", False) and isinstance(value, str):
            defaults[str(parameter.name)] = [value]  # an option that may be given more than once
    context.default_map = defaults
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        return load_toml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(
            f"the configuration {path} cannot be read: {error.strerror}", "check --config"
        ) from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(
            f"the configuration {path} is not TOML: {error}", 'lines look like: device = "cpu"'
        ) from error


def _options(command: Any) -> Iterator[tuple[str, str]]:
    """(name as written with dashes, name of the parameter) of a verb's options."""
    for parameter in command.params:
        for name in (*parameter.opts, *parameter.secondary_opts):
            if name.startswith("--") and name[2:] not in _NOT_HERE:
                yield name[2:], parameter.name


def _of_all_verbs(command: Any) -> tuple[set[str], set[str]]:
    """Every option of the program, and every verb."""
    options, verbs = set(), set()
    for name, verb in getattr(command, "commands", {}).items():
        below, more = _of_all_verbs(verb)
        options |= below | {option for option, _ in _options(verb)}
        verbs |= more | {name}
    return options, verbs


def _plain(path: str, key: str, value: object) -> object:
    if isinstance(value, str | int | float | bool):
        return value
    raise UsageError(f"{path}: {key} must be one value", f'such as: {key} = "…"')


def _unknown(path: str, key: str, known: set[str]) -> UsageError:
    return UsageError(f"{path}: unknown option {key}", f"choose from: {', '.join(sorted(known))}")
