"""Runs one cell: both arms twice in an ABBA block on the same tasks, checked, measured and put on record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.mini_trajectory import write_mini_trajectory
from agents.task import Task
from agents.trajectory import Trajectory
from harness import build, provenance
from harness.backends.protocol import ModelServer
from harness.latency import Latency, LatencyInjector
from harness.metrics.arm import arm_metrics
from harness.metrics.ceiling import ceiling_time_saved_pct
from harness.metrics.comparison import (
    MeasurementError,
    agent_times_s,
    check_drafts_answered,
    check_identical,
    check_posts_taken,
    generations_s,
    mean_per_agent,
    predict_time_saved_pct,
    time_saved_pct,
)
from harness.metrics.costs import run_costs
from harness.metrics.live import divergence, prediction
from harness.participants import participants
from harness.records import RunFolder
from harness.replay.recorder import record
from harness.replay.trajectories import RecordedTrajectory, write_trajectories
from harness.runner import ArmRun, run_arm
from harness.schema import BackendKind, Config, DraftKind, Speculation
from harness.sweep import Cell
from harness.workloads.swe_bench import write_predictions
from precall.calls import CallKey, ToolCall, canonical_key
from precall.cost_model.turns import TurnTimes
from precall.errors import BackendError, MalformedCallError
from precall.tools import Effect, Tool

OnRun = Callable[[str, dict[str, Any]], None]


def folder_of(cell: Cell) -> RunFolder:
    return RunFolder(Path(cell.config.output) / cell.cell_id)


def arm_order(block: int, treatment: Speculation) -> list[tuple[str, Speculation]]:
    """Return the runs of a block by name: ABBA in even blocks, BAAB in odd ones, A being the baseline. The names of the
    baseline's runs begin with `base`, those of the treatment with `spec`, also where the treatment is off (A/A)."""
    first, second = ("base", "spec") if block % 2 == 0 else ("spec", "base")
    modes = {"base": Speculation.off, "spec": treatment}
    names = (f"{first}-1", f"{second}-1", f"{second}-2", f"{first}-2")
    return [(name, modes[name[:4]]) for name in names]


async def run_cell(
    cell: Cell,
    servers: Mapping[str, Sequence[ModelServer]],
    *,
    G_s: float | None,
    draft_s: Mapping[str, Sequence[Sequence[float]]],
    on_run: OnRun,
    on_trajectory: Callable[[Trajectory], None],
) -> dict[str, Any]:
    """Run a cell and return its metrics. `servers` holds, by arm (base, spec), the target's and the drafts'. `G_s`
    scales latencies that are multiples of G; `draft_s` holds the draft's times alone by task, turn and sample (empty
    for a live draft). `on_run` gets each run's name and metrics.

    Raises BackendError or MeasurementError; the manifest then says `failed`.
    """
    config, folder = cell.config, folder_of(cell)
    folder.begin(config, provenance.collect(config.seed))
    tasks = build.tasks_of(config, f"block {cell.block}")
    latency = build.latency_of(config, G_s)
    runs: dict[str, ArmRun] = {}
    measured: dict[str, dict[str, Any]] = {}
    try:
        for name, mode in arm_order(cell.block, config.speculation.mode):
            run = runs[name] = ArmRun(arm=name)
            async with participants(
                config,
                tasks,
                servers[name[:4]],
                speculation=mode,
                latency=latency,
                draft_s=draft_s,
                salt=f"{folder.work}/{name}",
            ) as make:
                try:
                    await run_arm(
                        run,
                        tasks=tasks,
                        num_agents=config.agent.num_agents,
                        max_turns=config.agent.max_turns,
                        make_participants=make,
                        servers=servers[name[:4]],
                        on_trajectory=on_trajectory,
                    )
                finally:
                    folder.append_events(name, run.events)
            measured[name] = arm_metrics(run.events, wall_s=run.wall_s, counters=run.counters, cpu_s=run.cpu_s)
            measured[name] |= asdict(run_costs(config, run.events))
            on_run(name, measured[name])
        metrics = {"runs": measured, **_compare(cell, runs, tasks, latency, draft_s), "latency_mean_s": latency.mean_s}
    except (BackendError, MeasurementError) as error:
        folder.finish("failed", str(error))
        raise
    for run in runs.values():
        finished = [trajectory for agent in run.trajectories for trajectory in agent]
        trajectories = record(finished, run.events, f"{cell.cell_id}, run {run.arm}")
        write_trajectories(folder.work / f"trajectories-{run.arm}.jsonl", trajectories)
        _write_graded(folder.work, run.arm, finished, config.model.name)
    folder.write_json("metrics.json", metrics)
    folder.finish("finished")
    return metrics


def _write_graded(folder: Path, arm: str, trajectories: Sequence[Trajectory], model_name: str) -> None:
    """Write what others read of graded trajectories: mini-swe-agent's inspector, and SWE-bench's judge the patches."""
    graded = [trajectory for trajectory in trajectories if trajectory.grade is not None]
    for trajectory in graded:
        write_mini_trajectory(folder / f"trajectories-{arm}", trajectory, model_name)
    if any(trajectory.grade is not None and "model_patch" in trajectory.grade.details for trajectory in graded):
        write_predictions(folder / f"predictions-{arm}.jsonl", graded, model_name)


def _compare(
    cell: Cell,
    runs: Mapping[str, ArmRun],
    tasks: Sequence[Task],
    latency: Latency,
    draft_s: Mapping[str, Sequence[Sequence[float]]],
) -> dict[str, Any]:
    config = cell.config
    size = config.agent.tasks_per_agent
    agents = [[t.task_id for t in tasks[i * size : (i + 1) * size]] for i in range(config.agent.num_agents)]
    times = {name: agent_times_s(run.events, agents) for name, run in runs.items()}
    base_s = mean_per_agent([times["base-1"], times["base-2"]])
    spec_s = mean_per_agent([times["spec-1"], times["spec-2"]])
    events = {name: run.events for name, run in runs.items()}
    metrics: dict[str, Any] = {
        "time_saved_pct": time_saved_pct(base_s, spec_s),
        "noise_pct": time_saved_pct(times["base-1"], times["base-2"]),
        "num_diverged": None,
        "num_diverged_base": None,
        "num_identical": None,
        "num_prompts": None,
        "num_equal_prompts": None,
        "predicted_time_saved_pct": None,
        "predicted_loaded_time_saved_pct": None,
        "ceiling_time_saved_pct": ceiling_time_saved_pct(events, agents),
        "trajectory_alpha": None,
    }
    if not config.model.is_replay:
        has_token_ids = config.backend.kind is not BackendKind.external
        diverged = asdict(divergence(events)) if has_token_ids else {}
        return metrics | diverged | asdict(prediction(events, agents))
    is_engine = config.speculation.mode is Speculation.engine
    if config.backend.kind is not BackendKind.simulated:  # there nothing is generated, and no tokens can differ
        metrics |= asdict(check_identical(events, may_prompts_of_spec_differ=is_engine))
    for run in runs.values():
        check_drafts_answered(run.events)
        check_posts_taken(run.events)
    if config.speculation.mode is Speculation.off:
        return metrics
    if config.draft.kind is not DraftKind.model:  # what it will say, and when, is not known beforehand
        return metrics | asdict(prediction(events, agents))
    recorded = build.trajectories_of(config, list(tasks))
    base_G = generations_s([runs["base-1"].events, runs["base-2"].events])
    spec_G = generations_s([runs["spec-1"].events, runs["spec-2"].events])
    turns = {t.task_id: _turn_times(config, t, recorded[t.task_id], latency, draft_s[t.task_id], base_G) for t in tasks}
    loaded = {
        t.task_id: _turn_times(config, t, recorded[t.task_id], latency, draft_s[t.task_id], spec_G) for t in tasks
    }
    metrics["predicted_time_saved_pct"] = predict_time_saved_pct(agents, turns)
    metrics["predicted_loaded_time_saved_pct"] = predict_time_saved_pct(agents, turns, loaded)
    calls = [is_match for t in tasks for is_match in _matches(t, recorded[t.task_id])]
    metrics["trajectory_alpha"] = sum(calls) / len(calls) if calls else None
    return metrics


def _matches(task: Task, trajectory: RecordedTrajectory) -> list[bool]:
    """Whether the draft of the recording has each of the target's calls."""
    tools = {tool.name: tool for tool in task.make_tools()}
    matches = []
    for turn in trajectory.turns:
        drafted = {_key(call, tools) for sample in turn.draft_samples for call in sample} - {None}
        matches += [_key(call, tools) in drafted for call in turn.calls]
    return matches


def _key(call: ToolCall, tools: Mapping[str, Tool]) -> CallKey | None:
    """Return the key of a recorded call, None for one that no tool can run."""
    try:
        return canonical_key(call, tools[call.name].parameters)
    except (KeyError, MalformedCallError):
        return None


def _turn_times(
    config: Config,
    task: Task,
    trajectory: RecordedTrajectory,
    latency: Latency,
    sample_s: Sequence[Sequence[float]],
    generation_s: Mapping[tuple[str, int], float],
) -> list[TurnTimes]:
    """Return the turns of a trajectory as the cost model sees them: G measured, g from the draft alone, T as drawn, and
    hits as the recording and the launch policy have them."""
    injector = LatencyInjector(latency, task_id=task.task_id, seed=config.seed)
    tools = {tool.name: tool for tool in task.make_tools()}
    policy = build.policy_of(config)
    num_confirmed: dict[Any, int] = {}
    turns = []
    for index, turn in enumerate(trajectory.turns):
        arrival_s: dict[Any, float] = {}
        for calls, seconds in zip(turn.draft_samples, sample_s[index], strict=True):
            for call in calls:
                key = _key(call, tools)
                if key is not None and policy.allows(tools[call.name]):
                    arrival_s[key] = min(seconds, arrival_s.get(key, seconds))
        tool_s, is_hit, has_written, g_s = [], [], False, 0.0
        for call in turn.calls:
            key = _key(call, tools)
            if key is None:  # answered with an error at once
                tool_s.append(0.0)
                is_hit.append(False)
                continue
            tool = tools[call.name]
            occurrence = num_confirmed.get(key, 0)
            num_confirmed[key] = occurrence + 1
            tool_s.append(injector.latency_s(tool, call, occurrence))
            is_hit.append(key in arrival_s and not (has_written and tool.effect is not Effect.PURE))
            if is_hit[-1]:
                g_s = max(g_s, arrival_s[key])  # of the last sample that matters
            has_written = has_written or tool.effect.changes_state
        turns.append(
            TurnTimes(G=generation_s[(task.task_id, index)], g=g_s, tool_s=tuple(tool_s), is_hit=tuple(is_hit))
        )
    return turns
