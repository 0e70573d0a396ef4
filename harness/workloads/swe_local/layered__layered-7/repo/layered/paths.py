"""Dotted paths."""

from typing import Any, Mapping, Tuple


def split_path(path: str) -> Tuple[str, ...]:
    """Return the keys of a dotted path. Raises KeyError for an empty key."""
    keys = tuple(path.split("."))
    if not all(keys):
        raise KeyError(f"{path!r} has an empty key")
    return keys


def get_path(table: Mapping[str, Any], keys: Tuple[str, ...], default: Any) -> Any:
    value: Any = table
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return default
        value = value[key]
    return value
