"""The ceiling of a comparison: what a draft would save that answers at once and is always right."""

from collections.abc import Sequence

from harness.metrics.comparison import predict_time_saved_pct
from harness.metrics.evidence import Runs, evidence_of
from precall.cost_model.turns import TurnTimes


def ceiling_time_saved_pct(runs: Runs, agents: Sequence[Sequence[str]]) -> float:
    """Return the time that an oracle would save, in percent, per agent and then the mean; `agents` lists the task ids
    of each.

    Source: ours; `turn_time_s` with g = 0 and a hit for every call that policy lets run ahead, G and T of the
    baseline's runs turn by turn.
    """
    tasks = evidence_of(runs, block_size=None)
    turns = {
        task_id: [
            TurnTimes(G=turn.generation_s, g=0.0, tool_s=turn.tool_s, is_hit=turn.is_eligible) for turn in task.turns
        ]
        for task_id, task in tasks.items()
    }
    return predict_time_saved_pct(agents, turns)
