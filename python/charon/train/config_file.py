"""Reads a configuration: YAML file, `key=value` overrides; errors name file, line and nearest key."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from charon.errors import ConfigError
from charon.train.config import Config

PATH_FIELDS = ("train", "validation", "test")
BLIND = ("model.electronic=none", "model.electrostatics=null", "model.charge_solver=none", "model.field_steps=0")


def load_config(path: str | Path, overrides: Sequence[str] = (), blind: bool = False) -> Config:
    """The configuration of a YAML file with `section.key=value` overrides, paths made absolute.

    `blind` withholds the state: no charges, and what needs them is left out. Raises ConfigError for a file that is no
    YAML mapping, an unknown key (naming the nearest), a value out of range and a malformed override.
    """
    path = Path(path)
    tree, lines = _read_yaml(path)
    places = {key: f"{path}, line {line}" for key, line in lines.items()}
    for override in [*overrides, *(BLIND if blind else ())]:
        key, value = _parse_override(override)
        _assign(tree, key, value, override)
        places[key] = f"override {override!r}"
    try:
        config = Config.model_validate({name: {} if section is None else section for name, section in tree.items()})
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(entry, places, path) for entry in error.errors())) from None
    return _with_absolute_paths(config, path.resolve().parent)


def save_config(config: Config, path: Path) -> None:
    """Writes what `load_config` reads; keys that were left to their defaults are written out too."""
    tree = config.model_dump(mode="json")
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """The mapping in a file and the line of each of its keys."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = _key_lines(node, path)
        tree = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        found = "nothing" if tree is None else type(tree).__name__
        raise ConfigError(f"{path}: expected sections ({', '.join(Config.model_fields)}), found {found}")
    return tree, lines


def _key_lines(node: Any, path: Path, parent: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    lines: dict[tuple[str, ...], int] = {}
    if not isinstance(node, yaml.MappingNode):
        return lines
    for name, value in node.value:
        key = (*parent, str(name.value))
        line = name.start_mark.line + 1
        if key in lines:
            raise ConfigError(f"{path}, line {line}: key '{'.'.join(key)}' was given in line {lines[key]} already")
        lines[key] = line
        lines.update(_key_lines(value, path, key))
    return lines


def _parse_override(override: str) -> tuple[tuple[str, ...], Any]:
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"override {override!r}: expected section.key=value, e.g. training.epochs=50")
    try:
        return tuple(name.strip().split(".")), yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"override {override!r}: {text!r} is not a YAML value") from None


def _assign(tree: dict[str, Any], key: tuple[str, ...], value: Any, override: str) -> None:
    for name in key[:-1]:
        if tree.get(name) is None:
            tree[name] = {}
        tree = tree[name]
        if not isinstance(tree, dict):
            raise ConfigError(f"override {override!r}: '{name}' is a value, not a section")
    tree[key[-1]] = value


def _explain(entry: Mapping[str, Any], places: Mapping[tuple[str, ...], str], path: Path) -> str:
    """One message for one error of pydantic: where, which key, what was expected and found."""
    location = tuple(str(part) for part in entry["loc"])
    where = next((places[location[:n]] for n in range(len(location), 0, -1) if location[:n] in places), str(path))
    name = ".".join(location[:2])
    if entry["type"] == "extra_forbidden":
        return f"{where}: unknown key '{'.'.join(location)}'{_suggest(location)}"
    if entry["type"] == "missing":
        return f"{where}: key '{name}' is missing"
    message = entry["msg"].removeprefix("Value error, ")
    if not location:
        return f"{where}: {message}"
    return f"{where}: '{name}': {message[0].lower()}{message[1:]}, found {entry['input']!r}"


def _suggest(location: tuple[str, ...]) -> str:
    """The nearest key of the same section, else of any section, and the keys that the section has."""
    section = _section(location[:-1])
    wrong = location[-1].lower()
    near = difflib.get_close_matches(wrong, section, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{'.'.join((*location[:-1], near[0]))}'?"
    everywhere = {name: f"{top}.{name}" for top in Config.model_fields for name in _section((top,))}
    near = difflib.get_close_matches(wrong, everywhere, n=1, cutoff=0.75)
    if near:
        return f"; did you mean '{everywhere[near[0]]}'?"
    return f"; keys here: {', '.join(section)}"


def _section(location: tuple[str, ...]) -> list[str]:
    """Names of the fields of a section."""
    model: type[BaseModel] = Config
    for name in location:
        annotation = model.model_fields[name].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _with_absolute_paths(config: Config, folder: Path) -> Config:
    """Paths relative to the folder of the configuration file; the run directory may lie anywhere."""
    changes: dict[str, Any] = {}
    for field in PATH_FIELDS:
        value = getattr(config.data, field)
        if not isinstance(value, float):
            changes[field] = tuple(folder / path.expanduser() for path in value)
    return config.model_copy(update={"data": config.data.model_copy(update=changes)})
