"""The ledger: what became of every confirmed call and every execution, added up from events."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from precall.events import Event, EventKind
from precall.executions import Fate, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Counts over any set of finished trajectories. Two balances hold, or the events contradict each other:
    launched = used + wasted + cancelled + failed, and confirmed = ready hits + pending hits + misses. `num_executed`
    counts the confirmed calls, all of them ready hits, whose turn the engine executed."""

    num_launched: int
    num_used: int
    num_wasted: int
    num_cancelled: int
    num_failed: int
    num_refused: int
    num_confirmed: int
    num_ready_hits: int
    num_pending_hits: int
    num_misses: int
    num_matched: int
    num_eligible: int
    num_executed: int
    wasted_tool_s: float

    def __post_init__(self) -> None:
        ended = self.num_used + self.num_wasted + self.num_cancelled + self.num_failed
        assert self.num_launched == ended, f"{self.num_launched} executions launched, {ended} ended"
        settled = self.num_ready_hits + self.num_pending_hits + self.num_misses
        assert self.num_confirmed == settled, f"{self.num_confirmed} calls confirmed, {settled} settled"
        hits = self.num_ready_hits + self.num_pending_hits
        # What the engine executed may have hit the entry of an earlier turn, whose execution was written off there.
        own = hits - self.num_executed
        assert own <= self.num_used <= hits, (
            f"{hits} hits, {self.num_used} executions used, {self.num_executed} calls executed"
        )

    @property
    def call_acceptance_rate(self) -> float | None:
        """Matched over all confirmed calls: the paper's alpha. None without a confirmed call."""
        return self.num_matched / self.num_confirmed if self.num_confirmed else None

    @property
    def eligible_share(self) -> float | None:
        """Confirmed calls whose execution the policy allowed over all confirmed calls. None without one."""
        return self.num_eligible / self.num_confirmed if self.num_confirmed else None

    @property
    def has_fired(self) -> bool:
        """Whether speculation ran any tool at all."""
        return self.num_launched > 0

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> "Ledger":
        """Add up `events`. Raises AssertionError when they contradict each other."""
        kinds: Counter[EventKind] = Counter()
        fates: Counter[str] = Counter()
        outcomes: Counter[str] = Counter()
        num_matched = num_eligible = num_executed = 0
        wasted_tool_s = 0.0
        for event in events:
            kinds[event.kind] += 1
            if event.kind is EventKind.EXECUTION_ENDED:
                fates[event.data["fate"]] += 1
                if event.data["fate"] != Fate.USED:
                    wasted_tool_s += event.data["duration_s"] or 0.0
            elif event.kind is EventKind.CALL_SETTLED:
                outcomes[event.data["outcome"]] += 1
                num_matched += event.data["is_predicted"]
                num_eligible += event.data["is_eligible"]
                num_executed += event.data["is_executed"]
        return cls(
            num_launched=kinds[EventKind.EXECUTION_LAUNCHED],
            num_used=fates[Fate.USED],
            num_wasted=fates[Fate.WASTED],
            num_cancelled=fates[Fate.CANCELLED],
            num_failed=fates[Fate.FAILED],
            num_refused=kinds[EventKind.EXECUTION_REFUSED],
            num_confirmed=kinds[EventKind.CALL_SETTLED],
            num_ready_hits=outcomes[Outcome.READY_HIT],
            num_pending_hits=outcomes[Outcome.PENDING_HIT],
            num_misses=outcomes[Outcome.MISS],
            num_matched=num_matched,
            num_eligible=num_eligible,
            num_executed=num_executed,
            wasted_tool_s=wasted_tool_s,
        )
