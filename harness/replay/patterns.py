"""`python -m harness.replay.patterns TRAJECTORIES PATTERNS`: learns the patterns of a trajectory file, for
precall.drafts.pattern.

With `--workload` (a file of conf/workload/) the user's messages are those of its tasks; without it they are empty, and
nothing is copied from them. The last line is one JSON object: of the file's calls, the share that the draft would have
predicted from the trajectories before (`call_acceptance_rate`).
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from agents.task import Task
from harness import provenance
from harness.replay.trajectories import RecordedTrajectory, read_trajectories
from harness.schema import AGENTS, AgentConfig, Config, WorkloadConfig
from harness.workloads.load import tasks_among
from precall.calls import ToolCall, canonical_key
from precall.drafts.history import read_history
from precall.drafts.pattern import MIN_CONFIDENCE, MIN_SUPPORT
from precall.drafts.pattern_memory import PatternMemory
from precall.errors import ConfigError, MalformedCallError

Message = dict[str, Any]


def messages_of(trajectory: RecordedTrajectory, task: Task | None) -> list[Message]:
    """Return a trajectory as the history that its agent had at its end."""
    user_turns: Sequence[Sequence[Mapping[str, Any]]] = task.user_turns if task is not None else ()
    messages: list[Message] = []
    opened = -1
    for index, turn in enumerate(trajectory.turns):
        if turn.user_turn != opened:
            opened = turn.user_turn
            opening = user_turns[opened] if opened < len(user_turns) else [{"role": "user", "content": ""}]
            messages += [dict(message) for message in opening]
        ids = [f"call_{index}_{place}" for place in range(len(turn.calls))]
        entries = [
            {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call_id, call in zip(ids, turn.calls, strict=True)
        ]
        messages.append({"role": "assistant", "content": turn.content, **({"tool_calls": entries} if entries else {})})
        messages += [
            {"role": "tool", "tool_call_id": call_id, "content": observation.content}
            for call_id, observation in zip(ids, turn.observations or (), strict=False)
        ]
    return messages


def learn(
    memory: PatternMemory,
    trajectories: Sequence[RecordedTrajectory],
    tasks: Mapping[str, Task],
    *,
    num_calls: int = 1,
) -> dict[str, Any]:
    """Learn from trajectories in their order, and return how a draft with the defaults of PatternDraft would have
    predicted each from those before it."""
    num_confirmed = num_predicted = num_matched = 0
    for trajectory in trajectories:
        messages = messages_of(trajectory, tasks.get(trajectory.task_id))
        history = read_history(messages)
        for turn in history.turns:
            candidates = memory.candidates(history.steps[: turn.num_steps_before], min_support=MIN_SUPPORT)
            said = {_key(each.call) for each in candidates[:num_calls] if each.confidence >= MIN_CONFIDENCE}
            num_confirmed += len(turn.calls)
            num_predicted += len(said)
            num_matched += sum(_key(call) in said - {None} for call in turn.calls)
        memory.learn(messages)
    return {
        "num_trajectories": len(trajectories),
        "num_contexts": len(memory),
        "num_confirmed": num_confirmed,
        "num_predicted": num_predicted,
        "num_matched": num_matched,
        "call_acceptance_rate": num_matched / num_confirmed if num_confirmed else None,
    }


def _key(call: ToolCall) -> Any:
    try:
        return canonical_key(call)
    except MalformedCallError:
        return None


def _config(name: str) -> Config:
    """Return the configuration of a workload and of the agent that its tasks are made for."""
    file = provenance.ROOT / "conf" / "workload" / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.yaml")))
        raise ConfigError(f"--workload is {name}; it must be one of {known}.")
    workload = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(WorkloadConfig), OmegaConf.load(file)))
    assert isinstance(workload, WorkloadConfig)
    return Config(workload=workload, agent=AgentConfig(kind=AGENTS[workload.source][0]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn the patterns of a trajectory file.")
    parser.add_argument("trajectories", type=Path)
    parser.add_argument("patterns", type=Path)
    parser.add_argument("--workload")
    parser.add_argument("--num-calls", type=int, default=1, help="calls that the draft may predict in a turn")
    given = parser.parse_args()
    trajectories = read_trajectories(given.trajectories).trajectories
    tasks: list[Task] = []
    if given.workload is not None:
        tasks = tasks_among(_config(given.workload), {each.task_id for each in trajectories})
    memory = PatternMemory()
    found = learn(memory, trajectories, {task.task_id: task for task in tasks}, num_calls=given.num_calls)
    memory.save(given.patterns)
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(str(error))
