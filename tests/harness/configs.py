"""Configurations composed as the command line composes them, for the tests."""

import functools
from pathlib import Path
from typing import Any

import hydra

from harness.command import register_schema
from harness.provenance import ROOT
from harness.schema import Config
from harness.sweep import Cell, expand

CONF = ROOT / "conf"
EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))
SCALES = sorted(file.stem for file in (CONF / "scale").glob("*.yaml"))


_register_schema = functools.cache(register_schema)


@functools.cache
def compose(*overrides: str) -> Any:
    """Return the composed node of these overrides; copy it before a change."""
    _register_schema()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return hydra.compose("config", list(overrides))


@functools.cache
def cells_of(*overrides: str) -> list[Cell]:
    return expand(compose(*overrides))


def config_of(*overrides: str) -> Config:
    """Return the configuration of the first cell."""
    return cells_of(*overrides)[0].config


def write_corrupt_trajectories(folder: Path) -> Path:
    """Write a trajectory file whose third line is cut off, and return its path."""
    header = '{"format": "precall-trajectories", "version": 1, "origin": "recorded", "description": ""}'
    turn = '{"user_turn": 0, "reasoning": "", "content": "done", "calls": [], "draft_samples": []}'
    path = folder / "corrupt.jsonl"
    path.write_text(f'{header}\n{{"task_id": "simple_python_1", "turns": [{turn}]}}\n{{"task_id": "simple_py\n')
    return path
