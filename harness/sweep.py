"""From one configuration to its cells: one per setting of the grid and block, each with an address of its own."""

import functools
import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from harness.backends.model_folder import CHECKSUMS
from harness.grid import Settings
from harness.provenance import ROOT
from harness.schema import Config, check, to_config, trajectory_file
from harness.versions import RECORD_VERSION
from precall.errors import ConfigError

NOT_IN_AN_ADDRESS = ("grid", "jobs", "output", "prices", "tracker", "scale", "experiment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The comparison of two arms in one setting, once. `config` has no grid left; `block` numbers the repeats;
    `setting_id` is the same for all blocks of one setting."""

    config: Config
    block: int
    label: str
    setting_id: str

    @property
    def cell_id(self) -> str:
        return f"{self.label}-b{self.block}-{self.setting_id}"


def file_sha256(path: str) -> str | None:
    """Return the hash of a file's bytes, None where there is none."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if Path(path).is_file() else None


def address(config: Config, hash_of: Callable[[str], str | None] = file_sha256) -> str:
    """Return 10 hexadecimal digits that stand for a setting. Where and how it is run, where results go, how they are
    tracked, what tokens cost and how many blocks there are does not count; what is in a file of trajectories, and the
    checksums of weights that come with the checkout, do."""
    fields = {key: value for key, value in vars(config).items() if key not in NOT_IN_AN_ADDRESS}
    # A file of trajectories that is missing is refused before anything runs.
    if (file := trajectory_file(config)) is not None and (sha256 := hash_of(file)) is not None:
        fields["trajectories_sha256"] = sha256
    sums = [hash_of(str(ROOT / model.path / CHECKSUMS)) for model in (config.model, config.draft.model)]
    if any(sums):
        fields["weights_sha256"] = sums
    text = json.dumps({"record_version": RECORD_VERSION, **fields}, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def expand(node: Any) -> list[Cell]:
    """Return the cells of a composed configuration, block by block, so that every setting has a first result early.

    Raises ConfigError for a key of the grid that does not exist, and for whatever `check` refuses in any cell.
    """
    config = to_config(node)
    grid = config.grid
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"grid.{key} is {values!r}; it must be a list of at least one value.")
        if len(set(map(str, values))) < len(values):
            raise ConfigError(f"grid.{key} is {values!r}, with a value twice; each must stand there once.")
    hash_of = functools.cache(file_sha256)
    settings = Settings(node, grid)
    found = []
    for values in itertools.product(*grid.values()):
        setting = settings.config(values)
        check(setting)
        label = "-".join(f"{key.rsplit('.', 1)[-1]}_{value}" for key, value in zip(grid, values, strict=True))
        found.append((setting, label or "cell", address(setting, hash_of)))
    return [
        Cell(config=setting, block=block, label=label, setting_id=setting_id)
        for block in range(config.scale.num_blocks)
        for setting, label, setting_id in found
    ]


def _plain(value: Any) -> Any:
    return value.name if isinstance(value, Enum) else vars(value)
