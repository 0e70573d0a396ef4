"""From one configuration to its cells: one per setting of the grid and block, each with an address of its own."""

import hashlib
import itertools
import json
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.schema import Config, check, to_config, trajectory_file
from precall.errors import ConfigError

RECORD_VERSION = 1  # part of every address: raise it when records of before and after must not be mixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The comparison of two arms in one setting, once. `config` has no grid left; `block` numbers the repeats."""

    config: Config
    block: int
    label: str

    @property
    def setting_id(self) -> str:
        """The same for all blocks of one setting."""
        return address(self.config)

    @property
    def cell_id(self) -> str:
        return f"{self.label}-b{self.block}-{self.setting_id}"


def address(config: Config) -> str:
    """Return 10 hexadecimal digits that stand for a setting. Where results go, how they are tracked, what tokens cost
    and how many blocks there are does not count; what is in a file of trajectories does."""
    fields = asdict(config)
    for key in ("grid", "output", "prices", "tracker", "scale", "experiment"):
        del fields[key]
    file = trajectory_file(config)
    if file is not None and Path(file).is_file():  # one that is missing is refused before anything runs
        fields["trajectories_sha256"] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    text = json.dumps({"record_version": RECORD_VERSION, **fields}, sort_keys=True, default=_enum_name)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def expand(node: Any) -> list[Cell]:
    """Return the cells of a composed configuration, block by block, so that every setting has a first result early.

    Raises ConfigError for a key of the grid that does not exist, and for whatever `check` refuses in any cell.
    """
    config = to_config(node)
    keys = list(config.grid)
    for key in keys:
        if not isinstance(config.grid[key], list) or not config.grid[key]:
            raise ConfigError(f"grid.{key} is {config.grid[key]!r}; it must be a list of at least one value.")
        if len(set(map(str, config.grid[key]))) < len(config.grid[key]):
            raise ConfigError(f"grid.{key} is {config.grid[key]!r}, with a value twice; each must stand there once.")
    cells = []
    for block in range(config.scale.num_blocks):
        for values in itertools.product(*(config.grid[key] for key in keys)):
            setting = OmegaConf.merge(node, {"grid": {}})
            OmegaConf.update(setting, "grid", {}, merge=False)
            for key, value in zip(keys, values, strict=True):
                try:
                    OmegaConf.update(setting, key, value, merge=True)
                except OmegaConfBaseException as error:
                    raise ConfigError(f"grid.{key}: {value!r} cannot be set: {error}") from error
            cell_config = to_config(setting)
            check(cell_config)
            label = "-".join(f"{key.rsplit('.', 1)[-1]}_{value}" for key, value in zip(keys, values, strict=True))
            cells.append(Cell(config=cell_config, block=block, label=label or "cell"))
    if not cells:
        check(config)
        raise ConfigError(f"scale.num_blocks is {config.scale.num_blocks}; it must be at least 1.")
    return cells


def _enum_name(value: Any) -> str:
    assert isinstance(value, Enum), f"{value!r} has no place in an address"
    return value.name
