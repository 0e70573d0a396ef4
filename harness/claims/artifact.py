"""`make artifact`: writes ARTIFACT.md, the artifact appendix, from results/claims.yaml. A test holds the file to it."""

import sys
from collections.abc import Iterable, Sequence

from harness.claims.ledger import SMOKE_MINUTES, read_claims
from harness.claims.schema import Claim, Claimant, Claims, Command, Expected, Kind, Side, Tier, ValueFrom
from harness.provenance import ROOT
from precall.errors import ConfigError

FILE = ROOT / "ARTIFACT.md"

HEAD = """\
# Artifact appendix

Written by `make artifact` from [results/claims.yaml](results/claims.yaml); correct it there. `make claims` judges every
claim below by the records that are there, in seconds, and changes none of them. What runs are and how they are measured
is in [README.md](README.md); the rules of the verdicts are in `harness/claims/rules.py`.

| verdict | meaning |
|---|---|
| reproduced | the 95 % interval meets the claim, and excludes no effect |
| direction only | it excludes no effect, on the claim's side, but has another size; or the run was told the size |
| not reproduced | it excludes the claim |
| not testable here | no record, no GPU, or an interval or a noise floor too wide to tell |
| refuted as expected | a sentence of the paper that its own figures do not support, and they say so |

Records of your own runs come first; where there are none, or where they leave a claim open, the ones that are published
with the checkout decide, and the table says so.
"""

SMOKE = """\
Two cores, 12 GiB of memory, no GPU, no account. `make setup` first: 2 to 6 minutes, once. Then, in {minutes:g} minutes:

{lines}

It judges what these commands make; the rest of `make claims` then rests on published records.
"""

PROTOCOL = """\
The node is the paper's: 4 x A100-80GB, gpt-oss-120b on one, three replicas of the draft on the others. Absolute claims
belong to that node; on other GPUs read the ratios alone. Times on GPUs have not been measured by us.

1. On the login node: `make setup PLATFORM=cuda`, and the weights where vLLM finds them. On the compute node:
   `make doctor PLATFORM=cuda`.
2. `make test PLATFORM=cuda`, then `make reproduce SCALE=smoke PLATFORM=cuda`. *Accepted*: both end with status 0.
   Replay compares every generated token, so in a cell that has finished speculation changed nothing.
3. The baseline against itself: [gpu_noise](#commands), then `make claims`. *Accepted*: `{noise}` is reproduced. Else
   find what else the machine does, and do not go on.
4. The other commands below, in any order; an interrupted one goes on where it was.
5. `make claims`. *Accepted as a reproduction of the paper*: no claim of the table is not reproduced, and those on how
   often the draft is right are reproduced ({rates}); where it is right less often than
   the paper's, times cannot be compared.

{table}
"""


def expected_text(claim: Claim, unit: str = "") -> str:
    """Return what is claimed of the value, in words, with its unit if one is given."""
    value = f"{claim.value:g} {unit}".strip()
    if claim.kind is Kind.direction:
        assert claim.no_effect is not None, "ledger.check wants it"
        return f"{value}, or {'more' if claim.value > claim.no_effect else 'less'}"
    match claim.side:
        case Side.at_most:
            return f"at most {value}"
        case Side.at_least:
            return f"at least {value}"
        case _:
            return value


def tolerance_text(claim: Claim) -> str:
    return f"± {claim.tolerance:g}" if claim.tolerance else ""


def resources_text(command: Command) -> str:
    """Return the time and what else a command takes."""
    time = "not timed" if command.minutes is None else f"{command.minutes:g} min"
    return ", ".join(part for part in (time, command.needs) if part)


def artifact(ledger: Claims) -> str:
    """Return the text of ARTIFACT.md."""
    of_paper = [claim for claim in ledger.claims if claim.of is Claimant.paper]
    holding = [claim for claim in of_paper if claim.expected is Expected.holds]
    refuted = [claim for claim in of_paper if claim.expected is Expected.refuted]
    gpu = [claim for claim in ledger.claims if ledger.command_of(claim).tier is Tier.gpu]
    paid = [claim for claim in ledger.claims if ledger.command_of(claim).tier is Tier.paid]
    here = [claim for claim in holding if claim not in gpu and claim not in paid]
    ours = [claim for claim in ledger.claims if claim.of is Claimant.ours and claim not in gpu]
    sections = [
        HEAD,
        f"## Smoke tier: under {SMOKE_MINUTES:g} minutes\n\n" + _smoke(ledger),
        "## Commands\n\n" + _commands(ledger.commands),
        "## The paper's claims, without a GPU\n\n" + _claims(ledger, here),
        "## Sentences of the paper that its own figures do not support\n\n" + _claims(ledger, refuted),
        "## Claims that need the paper's GPUs, and the protocol\n\n" + _protocol(ledger, gpu),
        "## Claims that need a paid endpoint\n\n" + _claims(ledger, paid),
        "## Our own claims, without a GPU\n\n" + _claims(ledger, ours),
    ]
    return "\n".join(sections)


def _smoke(ledger: Claims) -> str:
    commands = [command for command in ledger.commands if command.tier is Tier.smoke]
    lines = "\n".join(f"    {command.run}" for command in sorted(commands, key=lambda each: each.id == "claims"))
    return SMOKE.format(minutes=sum(command.minutes or 0.0 for command in commands), lines=lines)


def _protocol(ledger: Claims, gpu: Sequence[Claim]) -> str:
    (noise,) = (claim.id for claim in gpu if claim.command == "gpu_noise")
    rates = [claim.id for claim in gpu if claim.cells is not None and claim.cells.metric == "hit_rate"]
    listed = ", ".join(f"`{name}`" for name in rates)
    return PROTOCOL.format(noise=noise, rates=listed, table=_claims(ledger, gpu).rstrip())


def _commands(commands: Iterable[Command]) -> str:
    rows = [
        [f"**{command.id}**", f"`{command.run}`", command.tier.value, resources_text(command), f"`{command.makes}`"]
        for command in commands
    ]
    return _table(("name", "command", "tier", "time on two cores, and needs", "makes"), rows)


def _claims(ledger: Claims, claims: Iterable[Claim]) -> str:
    rows = [
        [
            f"**{claim.id}**: {claim.sentence} ({claim.source}){_notes(claim)}",
            _command(ledger.command_of(claim)),
            resources_text(ledger.command_of(claim)),
            f"refuted: the sentence says {said}" if claim.expected is Expected.refuted else said,
            tolerance_text(claim) or "-",
            f"{_FROM[claim.value_from]}: {claim.basis}",
        ]
        for claim, said in ((claim, expected_text(claim, claim.unit)) for claim in claims)
    ]
    return _table(("claim", "command", "time and resources", "expected", "tolerance", "where that comes from"), rows)


def _notes(claim: Claim) -> str:
    told = "The run is told what is claimed, so it cannot reproduce it." if claim.expectation_is_input else ""
    notes = " ".join(note for note in (claim.note, told) if note)
    return f" *{notes}*" if notes else ""


def _command(command: Command) -> str:
    """Return a command that is short as it is, and a long one by its name in the table of commands."""
    return f"`{command.run}`" if command.run.startswith("make ") else f"[{command.id}](#commands)"


_FROM = {
    ValueFrom.paper: "paper",
    ValueFrom.aim: "ours, before the data",
    ValueFrom.record: "ours, when a value had been measured",
}


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *lines, ""])


def main() -> None:
    try:
        FILE.write_text(artifact(read_claims()), encoding="utf-8")
    except ConfigError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
