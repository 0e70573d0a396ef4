"""Claims, ledgers and evidence for the tests."""

from pathlib import Path
from typing import Any

import yaml

from harness.claims.found import Evidence
from harness.claims.schema import Claim, Claimant, Kind, ValueFrom


def claim(**changes: Any) -> Claim:
    """Return a claim of ours that a value is 10 +- 2 % against 0, on cells of fig1 unless `changes` says otherwise."""
    fields: dict[str, Any] = {
        "id": "c",
        "of": Claimant.ours,
        "sentence": "It is so.",
        "source": "nowhere",
        "kind": Kind.ratio,
        "value": 10.0,
        "tolerance": 2.0,
        "no_effect": 0.0,
        "unit": "%",
        "value_from": ValueFrom.aim,
        "basis": "taken",
        "command": "run",
        "calculation": "speedup_beyond_bound",
    }
    return Claim(**fields | changes)


def evidence(low: float | None, mid: float | None, high: float | None, **changes: Any) -> Evidence:
    fields: dict[str, Any] = {"noise_floor": 0.0, "origin": "measured", "file": "results/bench/x.json"}
    return Evidence(**fields | changes, low=low, mid=mid, high=high)


TIME_SAVED = {
    "id": "time-saved",
    "of": "paper",
    "sentence": "It saves time.",
    "source": "Fig. 6",
    "kind": "direction",
    "value": 5.0,
    "no_effect": 0.0,
    "unit": "%",
    "value_from": "paper",
    "basis": "Fig. 6",
    "command": "here",
    "cells": {"experiments": ["fig1"], "metric": "time_saved_pct"},
}
COMMANDS = [
    {"id": "here", "run": "make reproduce", "tier": "local", "makes": "results/runs/local"},
    {"id": "gpu", "run": "make big", "tier": "gpu", "makes": "results/runs/paper", "gpus": 4, "needs": "4 GPUs"},
]
ON_GPUS = TIME_SAVED | {"id": "on-gpus", "command": "gpu", "cells": {"experiments": ["big"], "metric": "hit_rate"}}


def write_ledger(file: Path, *, minimum_testable_share: float) -> Path:
    """Write a ledger of two claims of the paper, one of which needs GPUs, and return the file."""
    fields = {"minimum_testable_share": minimum_testable_share, "commands": COMMANDS, "claims": [TIME_SAVED, ON_GPUS]}
    file.write_text(yaml.safe_dump(fields))
    return file
