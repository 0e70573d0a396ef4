"""The verdict on every claim, from the records that are there; `verdicts` is what others build on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import provenance
from harness.claims.evidence import evidence_of
from harness.claims.found import Absent, Evidence
from harness.claims.ledger import FILE, read_claims
from harness.claims.rules import Outcome, judge
from harness.claims.schema import Claim, Claimant, Command

RESULTS = provenance.ROOT / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a claim, and why. `evidence` is what the outcome comes from, None where there is none;
    `passed_over` says what the user's own run left open, where a published record decides."""

    claim: Claim
    command: Command
    outcome: Outcome
    reason: str
    evidence: Evidence | None
    passed_over: str | None = None

    @property
    def is_published(self) -> bool:
        """Whether the outcome comes from a published record of ours, not from a run in this checkout."""
        return self.evidence is not None and self.evidence.is_published

    def to_json(self) -> dict[str, Any]:
        claim, found = self.claim, self.evidence
        return {
            "id": claim.id,
            "of": claim.of.value,
            "sentence": claim.sentence,
            "source": claim.source,
            "kind": claim.kind.value,
            "expected": claim.expected.value,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "claimed": claim.value,
            "tolerance": claim.tolerance,
            "unit": claim.unit,
            "found": None if found is None else [found.low, found.mid, found.high],
            "noise_floor": None if found is None else found.noise_floor,
            "origin": None if found is None else found.origin,
            "file": None if found is None else found.file,
            "is_published": self.is_published,
            "passed_over": self.passed_over,
            "command": self.command.run,
        }


def verdicts(results: Path = RESULTS, file: Path = FILE) -> list[Verdict]:
    """Return the verdict on every claim of the ledger `file`, in its order, from the records in `results`: those of the
    user's own runs, or, where they cannot tell, the published ones.

    Raises ConfigError for a ledger that is not in the form, and for a record that cannot be read.
    """
    ledger = read_claims(file)
    has_gpu = bool(provenance.collect(None)["gpus"])
    return [_verdict(claim, ledger.command_of(claim), results, has_gpu=has_gpu) for claim in ledger.claims]


def _verdict(claim: Claim, command: Command, results: Path, *, has_gpu: bool) -> Verdict:
    left_open: list[tuple[Verdict, Evidence]] = []
    absent: list[str] = []
    for found in evidence_of(claim, results):
        if isinstance(found, Absent):
            absent.append(found.reason)
            continue
        outcome, reason = judge(claim, found)
        passed_over = f"{left_open[0][1].file}: {left_open[0][0].reason}" if left_open else None
        verdict = Verdict(
            claim=claim, command=command, outcome=outcome, reason=reason, evidence=found, passed_over=passed_over
        )
        if outcome is not Outcome.NOT_TESTABLE:
            return verdict
        left_open.append((verdict, found))
    if left_open:
        return left_open[0][0]
    reason = _why_absent(command, absent[0], has_gpu=has_gpu)
    return Verdict(claim=claim, command=command, outcome=Outcome.NOT_TESTABLE, reason=reason, evidence=None)


def _why_absent(command: Command, reason: str, *, has_gpu: bool) -> str:
    if command.gpus and not has_gpu:
        return f"no GPU here; `{command.run}` takes {command.needs}"
    return f"not run yet: {reason}; `{command.run}` makes it" + (f", with {command.needs}" if command.needs else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many claims have each outcome; of the paper's, how many there are and the share that could be tested."""

    counts: Counter[Outcome]
    num_published: int
    num_of_paper: int
    testable_share_of_paper: float

    def to_json(self) -> dict[str, Any]:
        by_outcome = {outcome.name.lower(): self.counts[outcome] for outcome in Outcome}
        return {
            **by_outcome,
            "from_published_records": self.num_published,
            "claims_of_paper": self.num_of_paper,
            "testable_share_of_paper": round(self.testable_share_of_paper, 3),
        }


def summarise(found: Sequence[Verdict]) -> Summary:
    of_paper = [verdict for verdict in found if verdict.claim.of is Claimant.paper]
    num_tested = sum(verdict.outcome is not Outcome.NOT_TESTABLE for verdict in of_paper)
    return Summary(
        counts=Counter(verdict.outcome for verdict in found),
        num_published=sum(verdict.is_published for verdict in found),
        num_of_paper=len(of_paper),
        testable_share_of_paper=num_tested / len(of_paper) if of_paper else 0.0,
    )
