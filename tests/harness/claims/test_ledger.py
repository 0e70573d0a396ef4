"""results/claims.yaml is read whole or refused, with the entry, the key and the rule named."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import build
from harness.claims.ledger import FILE, read_claims
from harness.claims.schema import Claimant, Expected, Kind, Tier
from harness.provenance import ROOT
from harness.sweep import expand
from precall.errors import ConfigError
from tests.harness.configs import compose

GOOD: dict[str, Any] = {
    "id": "c",
    "of": "paper",
    "sentence": "It is so.",
    "source": "Fig. 1",
    "kind": "ratio",
    "value": 10.0,
    "tolerance": 2.0,
    "no_effect": 0.0,
    "unit": "%",
    "value_from": "paper",
    "basis": "Fig. 1",
    "command": "run",
    "cells": {"experiments": ["fig1"], "metric": "time_saved_pct"},
}
COMMAND = {"id": "run", "run": "make run", "tier": "local", "makes": "results/runs"}


def read(folder: Path, *claims: dict[str, Any], commands: Any = (COMMAND,), **fields: Any) -> Any:
    """Write a ledger of these claims and read it; a field that is None is left out."""
    entries = [{key: value for key, value in claim.items() if value is not None} for claim in claims]
    ledger = {"minimum_testable_share": 0.5, "commands": list(commands), "claims": entries} | fields
    file = folder / "claims.yaml"
    file.write_text(yaml.safe_dump(ledger))
    return read_claims(file)


def test_a_good_entry_is_read_with_its_types(tmp_path):
    ledger = read(tmp_path, GOOD)
    (claim,) = ledger.claims
    assert (claim.kind, claim.of, claim.expected) == (Kind.ratio, Claimant.paper, Expected.holds)
    assert claim.cells.origins == ["measured", "replayed"]
    assert ledger.command_of(claim).tier is Tier.local


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sentence": None}, "claim c: sentence has no value"),
        ({"valeu": 3.0}, "claim c: valeu: Key 'valeu' not in 'Claim'"),
        ({"kind": "rtio"}, "claim c: kind: Invalid value 'rtio', expected one of"),
        ({"value": "many"}, "claim c: value: Value 'many' of type 'str' could not be converted to Float"),
        ({"cells": {"experiments": ["fig1"], "metirc": "x"}}, "claim c: cells.metirc: Key 'metirc' not in"),
        ({"cells": {"experiments": ["fig1"]}}, "claim c: cells.metric has no value"),
        ({"command": "walk"}, "claim c: command is walk; it must be among run"),
        ({"cells": None}, "claim c: its evidence is missing"),
        ({"calculation": "speedup_beyond_bound"}, "claim c: its evidence is cells and calculation"),
        ({"cells": None, "calculation": "guess"}, "claim c: calculation is guess; it must be among"),
        ({"cells": {"experiments": ["fig1"], "metric": "speed"}}, "claim c: metric is speed; it must be among"),
        ({"cells": {"experiments": [], "metric": "hit_rate"}}, "claim c: experiments is empty"),
        (
            {"cells": {"experiments": ["fig1"], "metric": "hit_rate", "origins": ["heard"]}},
            "claim c: origin is heard; it must be among measured, replayed, modelled",
        ),
        ({"tolerance": -1.0}, "claim c: tolerance is -1.0; it must be 0 or more"),
        ({"kind": "bound"}, "claim c: kind is bound and side is None; a bound has a side"),
        ({"side": "at_most"}, "claim c: kind is ratio and side is at_most"),
        ({"no_effect": None}, "claim c: kind is ratio and no_effect is null"),
        ({"kind": "bound", "side": "at_most"}, "claim c: kind is bound and no_effect is 0.0; a bound has none"),
        ({"tolerance": 10.0}, "claim c: value 10.0 .* holds no_effect, 0.0"),
        ({"expected": "refuted"}, "claim c: expected is refuted; only the paper's own figures refute"),
        (
            {"expected": "refuted", "cells": None, "calculation": "speedup_beyond_bound"},
            "claim c: expected is refuted; only the paper's own figures refute",
        ),
    ],
)
def test_a_bad_entry_is_refused_by_name(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, GOOD | change)


def test_an_entry_without_an_id_is_named_by_its_number(tmp_path):
    with pytest.raises(ConfigError, match="claim number 2: id has no value"):
        read(tmp_path, GOOD, GOOD | {"id": None})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"minimum_testable_share": 1.5}, "minimum_testable_share is 1.5; it must lie between 0 and 1"),
        ({"minimum": 0.5}, "claims.yaml: minimum: Key 'minimum' not in 'Claims'"),
        ({"claims": "none"}, "claims.yaml: claims is no list"),
        ({"commands": [COMMAND, COMMAND]}, "commands: the id run stands there twice"),
        ({"commands": [COMMAND, COMMAND | {"id": "rest"}]}, "command rest makes evidence for no claim"),
        ({"commands": [COMMAND | {"tier": "gpu"}]}, "command run: tier is gpu and gpus is 0; what takes GPUs is in"),
        ({"commands": [COMMAND | {"gpus": 1}]}, "command run: tier is local and gpus is 1"),
        ({"commands": [COMMAND | {"tier": "smoke"}]}, "command run is in the smoke tier and has no minutes"),
        ({"commands": [COMMAND | {"tier": "smoke", "minutes": 10}]}, "the smoke tier takes 10 minutes"),
    ],
)
def test_a_bad_ledger_is_refused(tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, GOOD, **fields)


def test_two_claims_with_one_id_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="claims: the id c stands there twice"):
        read(tmp_path, GOOD, GOOD)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claims: [", "claims.yaml is no YAML"),
        ("claims: []\nclaims: []\n", "duplicate key claims"),
        (None, "be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, text, message):
    file = tmp_path / "claims.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_claims(file)


LEDGER = read_claims()


@pytest.mark.parametrize("command", [c for c in LEDGER.commands if "harness.run" in c.run], ids=lambda c: c.id)
def test_every_experiment_that_makes_evidence_is_composed_and_writes_where_the_ledger_says(command):
    words = shlex.split(command.run)
    overrides = words[words.index("harness.run") + 1 :]
    cells = expand(compose(*overrides))
    assert len(build.tasks_of(cells[0].config, "block 0")) > 0
    assert {cell.config.output for cell in cells} == {command.makes}
    experiments = {
        folder for c in LEDGER.claims if c.command == command.id and c.cells for folder in c.cells.experiments
    }
    assert Path(command.makes).name in experiments


def test_every_make_target_of_the_ledger_is_one():
    makefile = (ROOT / "Makefile").read_text()
    targets = {shlex.split(command.run)[1] for command in LEDGER.commands if command.run.startswith("make ")}
    assert all(f"\n{target}:" in makefile for target in targets)


def test_the_ledger_lies_beside_the_records():
    assert FILE == ROOT / "results" / "claims.yaml"
    assert {claim.of for claim in LEDGER.claims} == set(Claimant)
    assert {claim.kind for claim in LEDGER.claims} == set(Kind)
