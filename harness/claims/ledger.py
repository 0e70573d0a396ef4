"""Reads results/claims.yaml, and refuses one that no verdict could come from."""

import functools
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.claims.calculations import CALCULATIONS
from harness.claims.cells import METRICS
from harness.claims.schema import Claim, Claimant, Claims, Command, Expected, Kind, Tier
from harness.provenance import ROOT
from precall.errors import ConfigError

FILE = ROOT / "results" / "claims.yaml"
ORIGINS = ("measured", "replayed", "modelled")
SMOKE_MINUTES = 10.0


def read_claims(file: Path = FILE) -> Claims:
    """Return the ledger of a file. Raises ConfigError, which names claim, key, rule and remedy."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file.name} cannot be read: {error}. Check out results/claims.yaml.") from error
    return _ledger(text, file.name)


@functools.cache  # a second of checking, and more than one part of a command reads the ledger
def _ledger(text: str, file_name: str) -> Claims:
    try:
        fields: Any = OmegaConf.to_container(OmegaConf.create(text))
    except yaml.YAMLError as error:
        raise ConfigError(f"{file_name} is no YAML: {error}. Correct the line that it names.") from error
    for name in ("commands", "claims"):
        if not isinstance(fields, dict) or not isinstance(fields.get(name), list):
            raise ConfigError(f"{file_name}: {name} is no list; it must be one, with an id in each entry.")
    # Entry by entry: errors name the entry then, and not only the key.
    commands = [_entry(Command, entry, "command", number) for number, entry in enumerate(fields.pop("commands"))]
    claims = [_entry(Claim, entry, "claim", number) for number, entry in enumerate(fields.pop("claims"))]
    ledger = _entry(Claims, {**fields, "commands": commands, "claims": claims}, file_name, None)
    check(ledger)
    return ledger


Entry = TypeVar("Entry", Claims, Claim, Command)


def _entry(schema: type[Entry], fields: Any, what: str, number: int | None) -> Entry:
    name = what if number is None else f"{what} number {number + 1}"
    if isinstance(fields, dict) and number is not None and "id" in fields:
        name = f"{what} {fields['id']}"
    try:
        node = OmegaConf.merge(OmegaConf.structured(schema), fields)
        if missing := sorted(OmegaConf.missing_keys(node)):
            raise ConfigError(f"{name}: {missing[0]} has no value; it must have one. Give it.")
        entry: Any = OmegaConf.to_object(node)
    except (OmegaConfBaseException, TypeError) as error:
        key = getattr(error, "full_key", None)
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{name}: {f'{key}: ' if key else ''}{reason}. See harness/claims/schema.py.") from error
    return entry


def check(claims: Claims) -> None:
    """Raise ConfigError for what the types alone do not rule out."""
    if not 0.0 <= claims.minimum_testable_share <= 1.0:
        share = claims.minimum_testable_share
        raise ConfigError(f"minimum_testable_share is {share}; it must lie between 0 and 1. It is a share of claims.")
    for what, ids in (("claims", [c.id for c in claims.claims]), ("commands", [c.id for c in claims.commands])):
        if repeated := [name for name, num in Counter(ids).items() if num > 1]:
            raise ConfigError(f"{what}: the id {repeated[0]} stands there twice; each must be there once. Rename one.")
    known = {command.id for command in claims.commands}
    for claim in claims.claims:
        _check_claim(claim, known)
    if unused := known - {claim.command for claim in claims.claims}:
        raise ConfigError(f"command {sorted(unused)[0]} makes evidence for no claim; each must for one. Remove it.")
    for command in claims.commands:
        if (command.tier is Tier.gpu) != (command.gpus > 0):
            raise ConfigError(
                f"command {command.id}: tier is {command.tier.value} and gpus is {command.gpus}; what takes GPUs is in "
                "the tier gpu, and nothing else is."
            )
    _check_smoke(claims.commands)


def _check_claim(claim: Claim, commands: Iterable[str]) -> None:
    what = f"claim {claim.id}"
    if claim.command not in commands:
        raise ConfigError(f"{what}: command is {claim.command}; it must be among {', '.join(sorted(commands))}.")
    given = [name for name in ("cells", "file", "calculation") if getattr(claim, name) is not None]
    if len(given) != 1:
        raise ConfigError(
            f"{what}: its evidence is {' and '.join(given) or 'missing'}; it must be one of cells, file, calculation."
        )
    if not claim.tolerance >= 0.0:
        raise ConfigError(f"{what}: tolerance is {claim.tolerance}; it must be 0 or more.")
    if (claim.kind is Kind.bound) != (claim.side is not None):
        side = None if claim.side is None else claim.side.value
        raise ConfigError(
            f"{what}: kind is {claim.kind.value} and side is {side}; a bound has a side, others have none."
        )
    if claim.kind in (Kind.direction, Kind.ratio) and claim.no_effect is None:
        raise ConfigError(f"{what}: kind is {claim.kind.value} and no_effect is null; give the value of no effect.")
    if claim.kind is Kind.bound and claim.no_effect is not None:
        raise ConfigError(f"{what}: kind is bound and no_effect is {claim.no_effect}; a bound has none. Remove it.")
    if claim.no_effect is not None and abs(claim.value - claim.no_effect) <= claim.tolerance:
        raise ConfigError(
            f"{what}: value {claim.value} +- {claim.tolerance} holds no_effect, {claim.no_effect}; then it cannot be "
            "told from no effect. Narrow the tolerance, or claim a bound."
        )
    _check_evidence(claim, what)


def _check_evidence(claim: Claim, what: str) -> None:
    if claim.calculation is not None and claim.calculation not in CALCULATIONS:
        raise ConfigError(f"{what}: calculation is {claim.calculation}; it must be among {', '.join(CALCULATIONS)}.")
    if claim.expected is Expected.refuted:
        origin = None if claim.calculation is None else CALCULATIONS[claim.calculation].origin
        if claim.of is not Claimant.paper or origin != "paper":
            raise ConfigError(
                f"{what}: expected is refuted; only the paper's own figures refute its sentences. Give a calculation "
                "from results/paper, or expected: holds."
            )
    if claim.cells is not None:
        if claim.cells.metric not in METRICS:
            raise ConfigError(f"{what}: metric is {claim.cells.metric}; it must be among {', '.join(METRICS)}.")
        if not claim.cells.experiments:
            raise ConfigError(f"{what}: experiments is empty; it must name a folder of cells at least.")
    origins = [] if claim.cells is None else claim.cells.origins
    origins = origins if claim.file is None else [claim.file.origin]
    if unknown := [origin for origin in origins if origin not in ORIGINS]:
        raise ConfigError(f"{what}: origin is {unknown[0]}; it must be among {', '.join(ORIGINS)}.")


def _check_smoke(commands: Iterable[Command]) -> None:
    smoke = [command for command in commands if command.tier is Tier.smoke]
    if untimed := [command.id for command in smoke if command.minutes is None]:
        raise ConfigError(f"command {untimed[0]} is in the smoke tier and has no minutes; time it, or use tier: local.")
    minutes = sum(command.minutes or 0.0 for command in smoke)
    if minutes >= SMOKE_MINUTES:
        raise ConfigError(f"the smoke tier takes {minutes:g} minutes; it must stay under {SMOKE_MINUTES:g}. Move one.")
