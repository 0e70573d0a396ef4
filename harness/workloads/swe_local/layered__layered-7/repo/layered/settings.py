"""Settings in layers: what the program comes with, below what files and users say."""

from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

from layered.defaults import DEFAULTS
from layered.merge import merge
from layered.paths import get_path, split_path


class Settings:
    """One program's settings. Each object has its own; what is set in one is not seen by another."""

    def __init__(self, overrides: Optional[Mapping[str, Any]] = None, defaults: Mapping[str, Any] = DEFAULTS) -> None:
        self._values: Dict[str, Any] = dict(defaults)
        self._changed: Dict[Tuple[str, ...], Any] = {}
        if overrides:
            self.update(overrides)

    def get(self, path: str, default: Any = None) -> Any:
        """Return the value at a dotted path, `default` if there is none."""
        return get_path(self._values, split_path(path), default)

    def set(self, path: str, value: Any) -> None:
        """Set the value at a dotted path; tables on the way are made."""
        keys = split_path(path)
        table = self._values
        for key in keys[:-1]:
            following = table.setdefault(key, {})
            if not isinstance(following, dict):
                raise TypeError(f"{key!r} in {path!r} is a value and no table")
            table = following
        table[keys[-1]] = value
        self._changed[keys] = value

    def update(self, values: Mapping[str, Any], prefix: str = "") -> None:
        """Set every value of a table of tables."""
        for key, value in values.items():
            path = f"{prefix}{key}"
            if isinstance(value, Mapping) and value:
                self.update(value, f"{path}.")
            else:
                self.set(path, value)

    def changes(self) -> Dict[str, Any]:
        """Return what has been set, by dotted path."""
        return {".".join(keys): value for keys, value in self._changed.items()}

    def merged(self, other: "Settings") -> "Settings":
        """Return new settings: these, with what has been set in `other` on top."""
        result = Settings(defaults=merge(self._values, {}))
        for keys, value in {**self._changed, **other._changed}.items():
            result.set(".".join(keys), value)
        return result

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)
