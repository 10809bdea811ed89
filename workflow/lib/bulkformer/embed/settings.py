"""Reads the settings column of the models table into the frozen dataclass of an embedder."""

import dataclasses
import json
from typing import Any, Literal, get_args, get_origin, get_type_hints

from bulkformer.errors import InputError


def parse_settings(embedder: str, settings_type: type, text: str) -> Any:
    """Return `settings_type` filled from JSON `text`; keys that are not given keep their default.

    Fields may be bool, int, float, tuple[int, ...] or Literal; numbers must be positive.
    Raises InputError for anything else, naming the key and what is allowed.
    """
    where = f"settings of embedder '{embedder}'"
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error}); write for example {{}}") from error
    if not isinstance(given, dict):
        raise InputError(f"{where}: {text} is not an object; write for example {{}}")
    types = get_type_hints(settings_type)
    for key in given:
        if key not in types:
            raise InputError(
                f"{where}: unknown key '{key}'; known are {', '.join(sorted(types)) or 'none'}"
            )
    return settings_type(
        **{key: _converted(f"{where}: '{key}'", value, types[key]) for key, value in given.items()}
    )


def as_json(settings: Any) -> dict[str, Any]:
    """Return the settings, defaults included, as JSON would give them back."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def _converted(where: str, value: Any, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
        raise InputError(f"{where} is {value!r}; known are {', '.join(map(str, get_args(kind)))}")
    if get_origin(kind) is tuple:
        if isinstance(value, list) and value:
            return tuple(_converted(where, item, get_args(kind)[0]) for item in value)
        raise InputError(f"{where} is {value!r}; give a list of numbers")
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise InputError(f"{where} is {value!r}; give true or false")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and value > 0 and (kind is float or isinstance(value, int)):
        return kind(value)
    raise InputError(
        f"{where} is {value!r}; give a positive {'number' if kind is float else 'whole number'}"
    )
