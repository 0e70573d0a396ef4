"""Drafts that need no model and no server, from the configuration."""

from collections.abc import Callable, Mapping

from harness.replay.trajectories import RecordedTrajectory
from harness.schema import Config, DraftKind
from precall.drafts.oracle import OracleDraft
from precall.drafts.pattern import PatternDraft
from precall.drafts.pattern_memory import PatternMemory
from precall.drafts.protocol import Draft

MakeDraft = Callable[[str], Draft]
"""From a task's id to the draft of its trajectory."""


def model_free_draft(config: Config, recorded: Mapping[str, RecordedTrajectory]) -> MakeDraft | None:
    """Return what makes the drafts of one arm's run, by task; None for a draft that is a model. Pattern drafts share a
    memory that is empty when the run begins, and learn from all its trajectories; `recorded` has what oracles know."""
    draft = config.draft
    match draft.kind:
        case DraftKind.model:
            return None
        case DraftKind.pattern:
            memory = PatternMemory()
            return lambda task_id: PatternDraft(memory)
        case DraftKind.oracle:
            return lambda task_id: OracleDraft(
                [turn.calls for turn in recorded[task_id].turns],
                alpha=draft.alpha,
                seed=f"{config.seed}/{task_id}",
                delay_s=draft.delay_s,
            )
