"""The settings of a grid: one composed configuration with other values at the grid's keys.

To compose and convert a configuration anew takes some 30 ms. Here the first is converted, and of the others only what
can differ: the grid's keys, and the values that refer to others (`${...}`).
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.schema import Config, to_config
from precall.errors import ConfigError


class Settings:
    """The settings of `grid` (dotted key -> values) over the composed `node`, without the grid itself."""

    def __init__(self, node: Any, grid: Mapping[str, Sequence[Any]]) -> None:
        self._node = copy.deepcopy(node)
        OmegaConf.update(self._node, "grid", {}, merge=False)
        self._keys = tuple(grid)
        # A mapping is merged into what is there, so that something of it would stay behind for the next setting.
        self._is_plain = not any(isinstance(value, dict) for values in grid.values() for value in values)
        self._paths = tuple(dict.fromkeys([*self._keys, *_references(self._node)]))
        self._first: Config | None = None

    def config(self, values: Sequence[Any]) -> Config:
        """Return the configuration with these values at the grid's keys, in their order. Raises ConfigError for a key
        or a value that the schema does not have."""
        node = self._node if self._is_plain else copy.deepcopy(self._node)
        for key, value in zip(self._keys, values, strict=True):
            try:
                OmegaConf.update(node, key, value, merge=True)
            except OmegaConfBaseException as error:
                raise ConfigError(f"grid.{key}: {value!r} cannot be set: {error}") from error
        if self._first is None or not self._is_plain:
            self._first = to_config(node)
            return self._first
        config = self._first
        for path in self._paths:
            value = OmegaConf.select(node, path)
            plain = OmegaConf.to_object(value) if OmegaConf.is_config(value) else value
            config = _with(config, path.split("."), plain)
        return config


def _references(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of the values that refer to others; of a list in which one does, the list's."""
    for key in map(str, node):
        path = f"{prefix}{key}"
        if OmegaConf.is_interpolation(node, key):
            yield path
        elif not OmegaConf.is_missing(node, key):
            if isinstance(node[key], DictConfig):
                yield from _references(node[key], f"{path}.")
            elif OmegaConf.is_list(node[key]) and "${" in str(OmegaConf.to_container(node[key], resolve=False)):
                yield path


def _with(holder: Any, path: Sequence[str], value: Any) -> Any:
    name, *rest = path
    if isinstance(holder, dict):
        return {**holder, name: _with(holder[name], rest, value) if rest else value}
    return replace(holder, **{name: _with(getattr(holder, name), rest, value) if rest else value})
