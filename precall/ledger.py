"""The ledger: what became of every confirmed call and every execution, and what speculation took, added up from
events."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from precall.events import Event, EventKind
from precall.executions import Fate, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Counts over any set of finished trajectories. Two balances hold, or the events contradict each other:
    launched = used + wasted + cancelled + failed, and confirmed = ready hits + pending hits + misses. `num_executed`
    counts the confirmed calls, all of them ready hits, whose turn the engine executed.

    `num_fired_turns` are turns with calls in which something had been launched when the target had spoken.
    `saved_tool_s`: of the tools' seconds of all hits, those that nobody waited for; `wasted_tool_s`: the seconds of
    executions that were not used. `drafting_s`: how long drafts were at work, all samples of a turn together. Tokens
    are those of complete samples and of the target's turns; a sample that was cut off (there were some in
    `num_cut_off_drafts` turns) counts none, and where all were cut off nothing is known. What is not known of one is None for all.
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
    num_skipped_turns: int
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
    def fired_share(self) -> float | None:
        """Turns with calls in which speculation had launched something in time over all turns with calls: whether it
        did fire at all. None without such a turn."""
        return self.num_fired_turns / self.num_turns_with_calls if self.num_turns_with_calls else None

    @property
    def drafted_share(self) -> float | None:
        """Turns in which a draft was asked over those and the ones in which the switch left it out. None without."""
        num_begun = self.num_drafted_turns + self.num_skipped_turns
        return self.num_drafted_turns / num_begun if num_begun else None

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> "Ledger":
        """Add up `events`. Raises AssertionError when they contradict each other."""
        kinds: Counter[EventKind] = Counter()
        fates: Counter[str] = Counter()
        outcomes: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        fired: set[tuple[str, int | None]] = set()
        drafting: dict[tuple[str, int | None], float] = {}
        num_matched = num_eligible = num_executed = 0
        num_turns_with_calls = num_fired_turns = num_cut_off_drafts = 0
        saved_tool_s, wasted_tool_s, drafting_s = _Sum(), 0.0, 0.0
        tokens = {name: _Sum() for name in ("draft_prompt", "draft_output", "prompt", "output")}
        for event in events:
            kinds[event.kind] += 1
            turn, data = (event.trajectory_id, event.turn), event.data
            match event.kind:
                case EventKind.EXECUTION_LAUNCHED:
                    fired.add(turn)
                case EventKind.EXECUTION_REFUSED:
                    refused[data["reason"]] += 1
                case EventKind.EXECUTION_ENDED:
                    fates[data["fate"]] += 1
                    if data["fate"] != Fate.USED:
                        wasted_tool_s += data["duration_s"] or 0.0
                case EventKind.CALL_SETTLED:
                    outcomes[data["outcome"]] += 1
                    num_matched += data["is_predicted"]
                    num_eligible += data["is_eligible"]
                    num_executed += data["is_executed"]
                    if data["outcome"] in (Outcome.READY_HIT, Outcome.PENDING_HIT):
                        saved_tool_s.add(_saved_s(event))
                case EventKind.GENERATION_FINISHED:
                    num_turns_with_calls += data["num_calls"] > 0
                    num_fired_turns += data["num_calls"] > 0 and turn in fired
                    tokens["prompt"].add(data["num_prompt_tokens"])
                    tokens["output"].add(data["num_output_tokens"])
                case EventKind.DRAFT_STARTED:
                    drafting[turn] = event.time_s
                case EventKind.DRAFT_ANSWERED:
                    tokens["draft_prompt"].add(data["num_prompt_tokens"])
                    tokens["draft_output"].add(data["num_output_tokens"])
                case EventKind.DRAFT_ENDED:
                    num_cut_off_drafts += data["is_cut_off"]
                    drafting_s += event.time_s - drafting.pop(turn)
                case _:
                    pass
        if kinds[EventKind.DRAFT_STARTED] and not kinds[EventKind.DRAFT_ANSWERED]:  # all were cut off, or failed
            tokens["draft_prompt"].value = tokens["draft_output"].value = None
        return cls(
            num_launched=kinds[EventKind.EXECUTION_LAUNCHED],
            num_used=fates[Fate.USED],
            num_wasted=fates[Fate.WASTED],
            num_cancelled=fates[Fate.CANCELLED],
            num_failed=fates[Fate.FAILED],
            num_refused_by_reason=dict(refused),
            num_confirmed=kinds[EventKind.CALL_SETTLED],
            num_ready_hits=outcomes[Outcome.READY_HIT],
            num_pending_hits=outcomes[Outcome.PENDING_HIT],
            num_misses=outcomes[Outcome.MISS],
            num_matched=num_matched,
            num_eligible=num_eligible,
            num_executed=num_executed,
            saved_tool_s=saved_tool_s.value,
            wasted_tool_s=wasted_tool_s,
            num_turns=kinds[EventKind.GENERATION_FINISHED],
            num_turns_with_calls=num_turns_with_calls,
            num_fired_turns=num_fired_turns,
            num_drafted_turns=kinds[EventKind.DRAFT_STARTED],
            num_skipped_turns=kinds[EventKind.DRAFT_SKIPPED],
            num_cut_off_drafts=num_cut_off_drafts,
            drafting_s=None if drafting else drafting_s,
            num_draft_prompt_tokens=tokens["draft_prompt"].value,
            num_draft_output_tokens=tokens["draft_output"].value,
            num_prompt_tokens=tokens["prompt"].value,
            num_output_tokens=tokens["output"].value,
        )


def _saved_s(settled: Event) -> float | None:
    """Return the tool's seconds less those for which its call waited; None where the tool's are not known."""
    tool_s = settled.data["duration_s"]
    return None if tool_s is None else max(0.0, tool_s - (settled.time_s - settled.data["confirmed_s"]))


class _Sum:
    """A sum that is not known as soon as one of its parts is not."""

    def __init__(self) -> None:
        self.value: Any = 0

    def add(self, part: float | None) -> None:
        self.value = None if part is None or self.value is None else self.value + part
