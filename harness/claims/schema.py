"""The schema of results/claims.yaml: what is claimed, what would show it, and which command makes that evidence."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING


class Claimant(Enum):
    paper = "paper"
    ours = "ours"


class Kind(Enum):
    direction = "direction"  # an effect of at least `value`, on its side of `no_effect`
    ratio = "ratio"  # an effect of a size: `value` +- `tolerance`, against `no_effect`
    bound = "bound"  # `side` says whether a value lies at most or at least at `value`, or within the tolerance of it
    absolute = "absolute"  # a size that belongs to one machine and one pair of models


class Side(Enum):
    at_most = "at_most"
    at_least = "at_least"
    within = "within"


class Expected(Enum):
    holds = "holds"
    refuted = "refuted"  # the paper's own figures do not support the sentence


class ValueFrom(Enum):
    """Where `value` and `tolerance` come from."""

    paper = "paper"  # its figures, as results/paper has them
    aim = "aim"  # ours, set before anything was measured
    record = "record"  # ours, chosen when our published record had a value already


class Tier(Enum):
    """How much a command asks for."""

    smoke = "smoke"  # all of them together take less than 10 minutes on two cores
    local = "local"  # two cores, no GPU
    gpu = "gpu"
    paid = "paid"


@dataclass(kw_only=True)
class Command:
    """What makes evidence. `minutes` are on two cores, None where it has not been timed; `gpus` counts GPUs; `needs`
    says what else it takes, `makes` where the evidence then lies."""

    id: str = MISSING
    run: str = MISSING
    tier: Tier = MISSING
    makes: str = MISSING
    minutes: float | None = None
    gpus: int = 0
    needs: str = ""


@dataclass(kw_only=True)
class CellsEvidence:
    """A metric of cells (harness/tables.py), block by block: its mean over the rows that `where` chooses, less that
    over the rows of `minus`. Both give a value, or a list of values, by column; the column `folder` says from which of
    `experiments` a row is. Cells whose origin is not among `origins` are no evidence."""

    experiments: list[str] = MISSING
    metric: str = MISSING
    where: dict[str, Any] = field(default_factory=dict)
    minus: dict[str, Any] | None = None
    origins: list[str] = field(default_factory=lambda: ["measured", "replayed"])


@dataclass(kw_only=True)
class FileEvidence:
    """A value of results/bench/`name`.json, over the one at `over` or less the one at `minus`; places are keys with
    dots between them. A value is a number, or [low, mid, high] or [low, high] from blocks or tasks. `noise_floor` is
    the place of that of a timed figure. A file that has other values than those of `where`, by place, is no
    evidence."""

    name: str = MISSING
    value: str = MISSING
    origin: str = MISSING
    over: str | None = None
    minus: str | None = None
    noise_floor: str | None = None
    where: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Claim:
    """A sentence, in our words, that records can support or contradict.

    `value`, `tolerance` and `no_effect` are in `unit`; `basis` says how the value came about. `expectation_is_input`:
    the run that makes the evidence is told what is claimed. Evidence is one of `cells`, `file` and `calculation` (a
    function of harness/claims/calculations.py); `command` names what makes it.
    """

    id: str = MISSING
    of: Claimant = MISSING
    sentence: str = MISSING
    source: str = MISSING
    kind: Kind = MISSING
    value: float = MISSING
    unit: str = MISSING
    value_from: ValueFrom = MISSING
    basis: str = MISSING
    command: str = MISSING
    tolerance: float = 0.0
    no_effect: float | None = None
    side: Side | None = None
    expected: Expected = Expected.holds
    expectation_is_input: bool = False
    cells: CellsEvidence | None = None
    file: FileEvidence | None = None
    calculation: str | None = None
    note: str = ""


@dataclass(kw_only=True)
class Claims:
    """The whole ledger. `minimum_testable_share`: of the paper's claims, at least this share must get a verdict other
    than not testable."""

    minimum_testable_share: float = MISSING
    commands: list[Command] = MISSING
    claims: list[Claim] = MISSING

    def command_of(self, claim: Claim) -> Command:
        return next(command for command in self.commands if command.id == claim.command)
