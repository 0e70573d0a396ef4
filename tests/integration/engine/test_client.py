"""The client half on the real engine: replayed BFCL tasks with speculation=engine, through the harness's own arms.

The baseline runs on the same server without opting in, which is served as on a stock one.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from agents.task import Task
from harness import build
from harness.backends.vllm_server import VllmServer
from harness.latency import Latency, LatencyKind
from harness.metrics.comparison import Agreement, check_identical
from harness.participants import participants
from harness.runner import ArmRun
from harness.schema import Config, Speculation
from harness.workloads.bfcl import load_bfcl
from precall.calls import ToolCall, canonical_key
from precall.events import EventKind
from precall.ledger import Ledger
from precall.tools import Tool
from tests.integration.arms import entries, integration_config, new_salt, run_made, running

pytestmark = pytest.mark.engine

Runs = Counter[tuple[str, str, str]]
"""How often each call ran: task, tool, canonical arguments."""


def config_with(*overrides: str) -> Config:
    return integration_config("experiment=engine", *overrides)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    with running(build.speculative_target_server(config_with()), tmp_path_factory.mktemp("logs")) as server:
        yield server


def counted(task: Task, runs: Runs) -> Task:
    """Return a task whose tools count their runs."""

    def with_count(tool: Tool) -> Tool:
        def function(**arguments: Any) -> Any:
            call = ToolCall(name=tool.name, arguments=json.dumps(arguments))
            runs[task.task_id, *canonical_key(call, tool.parameters)] += 1
            return tool.function(**arguments)

        return replace(tool, function=function)

    return replace(task, make_tools=lambda: tuple(with_count(tool) for tool in task.make_tools()))


async def run_arm_of(name: str, config: Config, tasks: list[Task], server: VllmServer) -> tuple[ArmRun, Runs]:
    """Run an arm whose draft answers at once, and count what its tools ran."""
    runs: Runs = Counter()
    recorded = build.trajectories_of(config, tasks)
    draft_s = {task_id: [[0.0] * len(turn.draft_samples) for turn in each.turns] for task_id, each in recorded.items()}
    mode = config.speculation.mode if name.startswith("spec") else Speculation.off
    latency = Latency(kind=LatencyKind.NONE)
    async with participants(
        config, tasks, [server], speculation=mode, latency=latency, draft_s=draft_s, salt=new_salt()
    ) as make:
        return await run_made(name, [counted(task, runs) for task in tasks], [server], make), runs


async def run_both(config: Config, tasks: list[Task], server: VllmServer) -> tuple[ArmRun, Runs, Agreement]:
    """Run both arms and return the speculative one, what its tools ran, and how it agrees with the baseline."""
    base, _ = await run_arm_of("base-1", config, tasks, server)
    spec, runs = await run_arm_of("spec-1", config, tasks, server)
    agreement = check_identical({"base-1": base.events, "spec-1": spec.events}, may_prompts_of_spec_differ=True)
    assert set(entries(spec.events, EventKind.POST_FAILED, "status")) <= {410}, "at most too late"
    return spec, runs, agreement


def num_responses(run: ArmRun) -> int:
    turns = [turn for agent in run.trajectories for trajectory in agent for turn in trajectory.turns]
    return sum(not turn.generation.is_continued for turn in turns)


def confirmed(run: ArmRun) -> Runs:
    settled = [event for event in run.events if event.kind is EventKind.CALL_SETTLED]
    return Counter((e.trajectory_id.split("/")[1], e.data["name"], e.data["arguments"]) for e in settled)


async def test_predicted_calls_are_executed_in_one_response_and_each_tool_runs_once(server):
    tasks = load_bfcl(["simple_python", "live_multiple"], num_tasks=4, seed=2)
    spec, runs, agreement = await run_both(config_with("workload.hit_rate=1.0"), tasks, server)
    ledger = Ledger.from_events(spec.events)
    assert ledger.num_executed == ledger.num_confirmed == ledger.num_used == 4
    assert num_responses(spec) == 4, "call and answer in one response"
    assert runs == confirmed(spec)
    # Generated tokens of 8 turns and 4 observations; the template renders these turns as they were generated.
    assert agreement == Agreement(num_identical=12, num_prompts=8, num_equal_prompts=8)


async def test_a_wrong_draft_leads_to_misses_and_the_same_trajectory(server):
    tasks = load_bfcl(["simple_python", "live_multiple"], num_tasks=4, seed=2)
    spec, runs, agreement = await run_both(config_with("workload.hit_rate=0.0"), tasks, server)
    ledger = Ledger.from_events(spec.events)
    assert (ledger.num_executed, ledger.num_misses) == (0, ledger.num_confirmed)
    assert ledger.num_launched > 0
    assert num_responses(spec) == 8
    assert all(runs[key] == number for key, number in confirmed(spec).items())
    assert (agreement.num_prompts, agreement.num_equal_prompts) == (8, 8)


async def test_stateful_tasks_of_several_user_turns_mix_executed_turns_and_misses(server):
    tasks = load_bfcl(["multi_turn_base"], num_tasks=2, seed=1)
    spec, runs, agreement = await run_both(config_with("workload.hit_rate=1.0"), tasks, server)
    ledger = Ledger.from_events(spec.events)
    num_turns = sum(len(trajectory.turns) for agent in spec.trajectories for trajectory in agent)
    assert ledger.num_executed > 0 and ledger.num_misses > 0, "readers are executed, writers are not"
    assert num_responses(spec) == num_turns - ledger.num_executed
    assert runs == confirmed(spec)
    assert agreement.num_prompts == num_turns
