"""The ledger: what became of every confirmed call and every execution, and what speculation took, added up from
events."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from precall.events import Event, EventKind
from precall.executions import Fate, Outcome

_Turn = tuple[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Counts over any set of finished trajectories. Two balances hold, or the events contradict each other:
    launched = used + wasted + cancelled + failed, and confirmed = ready hits + pending hits + misses. `num_executed`
    counts the confirmed calls, all of them ready hits, whose turn the engine executed.

    `num_fired_turns` are turns with calls in which something had been launched when the target had spoken.
    `saved_tool_s`: of the tools' seconds of all hits, those that nobody waited for; `wasted_tool_s`: the seconds of
    executions that were not used. `drafting_s`: how long drafts were at work, all samples of a turn together. Tokens
    are those of complete samples and of the target's turns; a sample that was cut off (there were some in
    `num_cut_off_drafts` turns) counts none, and where all were cut off nothing is known. What is not known of one is
    None for all.
    """

    num_launched: int
    num_used: int
    num_wasted: int
    num_cancelled: int
    num_failed: int
    num_refused_by_reason: Mapping[str, int]
    num_confirmed: int
    num_ready_hits: int
    num_pending_hits: int
    num_misses: int
    num_matched: int
    num_eligible: int
    num_executed: int
    saved_tool_s: float | None
    wasted_tool_s: float
    num_turns: int
    num_turns_with_calls: int
    num_fired_turns: int
    num_drafted_turns: int
    num_skipped_by_reason: Mapping[str, int]
    num_cut_off_drafts: int
    drafting_s: float | None
    num_draft_prompt_tokens: int | None
    num_draft_output_tokens: int | None
    num_prompt_tokens: int | None
    num_output_tokens: int | None

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
    def num_refused(self) -> int:
        return sum(self.num_refused_by_reason.values())

    @property
    def num_skipped_turns(self) -> int:
        """Turns in which the draft was left out, by the switch or because a spending cap was reached."""
        return sum(self.num_skipped_by_reason.values())

    @property
    def fired_share(self) -> float | None:
        """Turns with calls in which speculation had launched something in time over all turns with calls: whether it
        did fire at all. None without such a turn."""
        return self.num_fired_turns / self.num_turns_with_calls if self.num_turns_with_calls else None

    @property
    def drafted_share(self) -> float | None:
        """Turns in which a draft was asked over those and the ones in which it was left out. None without."""
        num_begun = self.num_drafted_turns + self.num_skipped_turns
        return self.num_drafted_turns / num_begun if num_begun else None

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> "Ledger":
        """Add up `events`. Raises AssertionError when they contradict each other."""
        of: dict[EventKind, list[Event]] = {kind: [] for kind in EventKind}
        launched: set[_Turn] = set()
        num_turns_with_calls = num_fired_turns = 0
        for event in events:
            of[event.kind].append(event)
            turn = (event.trajectory_id, event.turn)
            if event.kind is EventKind.EXECUTION_LAUNCHED:
                launched.add(turn)
            elif event.kind is EventKind.GENERATION_FINISHED and event.data["num_calls"]:
                num_turns_with_calls += 1
                num_fired_turns += turn in launched
        fates = Counter(event.data["fate"] for event in of[EventKind.EXECUTION_ENDED])
        outcomes = Counter(event.data["outcome"] for event in of[EventKind.CALL_SETTLED])
        settled, generated = of[EventKind.CALL_SETTLED], of[EventKind.GENERATION_FINISHED]
        drafted, answered = of[EventKind.DRAFT_STARTED], of[EventKind.DRAFT_ANSWERED]
        is_draft_counted = bool(answered) or not drafted  # else all were cut off, or failed
        wasted = (event for event in of[EventKind.EXECUTION_ENDED] if event.data["fate"] != Fate.USED)
        return cls(
            num_launched=len(of[EventKind.EXECUTION_LAUNCHED]),
            num_used=fates[Fate.USED],
            num_wasted=fates[Fate.WASTED],
            num_cancelled=fates[Fate.CANCELLED],
            num_failed=fates[Fate.FAILED],
            num_refused_by_reason=dict(Counter(event.data["reason"] for event in of[EventKind.EXECUTION_REFUSED])),
            num_confirmed=len(settled),
            num_ready_hits=outcomes[Outcome.READY_HIT],
            num_pending_hits=outcomes[Outcome.PENDING_HIT],
            num_misses=outcomes[Outcome.MISS],
            num_matched=sum(event.data["is_predicted"] for event in settled),
            num_eligible=sum(event.data["is_eligible"] for event in settled),
            num_executed=sum(event.data["is_executed"] for event in settled),
            saved_tool_s=_sum_if_known(saved_s(event) for event in settled if event.data["outcome"] != Outcome.MISS),
            wasted_tool_s=sum((event.data["duration_s"] or 0.0 for event in wasted), start=0.0),
            num_turns=len(generated),
            num_turns_with_calls=num_turns_with_calls,
            num_fired_turns=num_fired_turns,
            num_drafted_turns=len(drafted),
            num_skipped_by_reason=Counter(event.data["reason"] for event in of[EventKind.DRAFT_SKIPPED]),
            num_cut_off_drafts=sum(event.data["is_cut_off"] for event in of[EventKind.DRAFT_ENDED]),
            drafting_s=_drafting_s(drafted, of[EventKind.DRAFT_ENDED]),
            num_draft_prompt_tokens=_tokens(answered, "num_prompt_tokens") if is_draft_counted else None,
            num_draft_output_tokens=_tokens(answered, "num_output_tokens") if is_draft_counted else None,
            num_prompt_tokens=_tokens(generated, "num_prompt_tokens"),
            num_output_tokens=_tokens(generated, "num_output_tokens"),
        )


def saved_s(settled: Event) -> float | None:
    """Return the tool's seconds less those for which its call waited; None where the tool's are not known."""
    tool_s = settled.data["duration_s"]
    return None if tool_s is None else max(0.0, tool_s - (settled.time_s - settled.data["confirmed_s"]))


def _drafting_s(started: Sequence[Event], ended: Sequence[Event]) -> float | None:
    """Return the seconds from the start of each draft to its end; None where an end is not on record."""
    ended_s = {(event.trajectory_id, event.turn): event.time_s for event in ended}
    return _sum_if_known(
        None if (end_s := ended_s.get((event.trajectory_id, event.turn))) is None else end_s - event.time_s
        for event in started
    )


def _tokens(events: Sequence[Event], name: str) -> int | None:
    counts = [event.data[name] for event in events]
    return None if None in counts else sum(counts)


def _sum_if_known(parts: Iterable[float | None]) -> float | None:
    total = 0.0
    for part in parts:
        if part is None:
            return None
        total += part
    return total
