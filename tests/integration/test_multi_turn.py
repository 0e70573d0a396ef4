"""Speculation beside the real engine: the trajectory stays the same, only readers run ahead, and harm is noticed."""

from dataclasses import replace
from datetime import datetime

import pytest

from agents.task import Task
from agents.trajectory import Status
from harness import build
from harness.backends.vllm_server import VllmServer
from harness.metrics.comparison import MeasurementError, check_identical, fingerprint
from harness.replay.models import ReplayTarget
from harness.replay.trajectories import RecordedTrajectory, RecordedTurn
from harness.runner import ArmRun, Participants
from harness.schema import Config
from harness.workloads.bfcl import load_bfcl
from precall.calls import Observation, ToolCall
from precall.events import EventKind
from precall.ledger import Ledger
from precall.speculation import NoSpeculation
from precall.tools import Effect, Tool, run_tool
from tests.harness.workloads.test_bfcl import state_of
from tests.integration.arms import entries, integration_config, new_salt, run_configured, run_made, trajectories_of

pytestmark = pytest.mark.engine

# Readers and writers of four classes, seven and nine turns.
TASK_IDS = ("multi_turn_base_20", "multi_turn_base_51")
SAMPLE_S = 0.02


class Keeper:
    """The tasks of one arm; keeps the tools that each trajectory was given."""

    def __init__(self) -> None:
        known = {task.task_id: task for task in load_bfcl(["multi_turn_base"], num_tasks=None, seed=0)}
        self.made: dict[str, list[dict[str, Tool]]] = {task_id: [] for task_id in TASK_IDS}
        self.tasks = [replace(known[task_id], make_tools=self._keeping(known[task_id])) for task_id in TASK_IDS]

    def _keeping(self, task: Task):
        def make_tools() -> tuple[Tool, ...]:
            tools = task.make_tools()
            self.made[task.task_id].append({tool.name: tool for tool in tools})
            return tools

        return make_tools

    def states(self) -> dict[str, object]:
        """Return the state of the instances behind the tools that the agents used, by task: the last that were made."""
        return {task_id: timeless(state_of(made[-1])) for task_id, made in self.made.items()}


def timeless(state: object) -> object:
    """Return a state without the times of day in it: BFCL's files carry when they were last written."""
    if isinstance(state, tuple):
        return tuple(timeless(each) for each in state)
    return None if isinstance(state, datetime) else state


@pytest.fixture(scope="module")
def multi_turn() -> Config:
    """Drafts of three samples, each of which is right in half of all turns."""
    return integration_config("experiment=multi_turn", "workload.hit_rate=0.5", "draft.num_samples=3")


async def test_speculation_beside_stateful_tools_changes_neither_prompts_observations_nor_final_states(
    multi_turn, target
):
    base, spec = Keeper(), Keeper()
    recorded = build.trajectories_of(multi_turn, base.tasks)
    draft_s = {task_id: [[SAMPLE_S] * 3 for _ in trajectory.turns] for task_id, trajectory in recorded.items()}
    runs = {
        "base-1": await run_configured("base-1", multi_turn, base.tasks, [target]),
        "spec-1": await run_configured("spec-1", multi_turn, spec.tasks, [target], draft_s=draft_s),
    }
    events = {name: run.events for name, run in runs.items()}
    num_turns = sum(len(trajectory.turns) for trajectory in recorded.values())
    num_calls = sum(len(turn.calls) for trajectory in recorded.values() for turn in trajectory.turns)
    assert check_identical(events).num_identical == 2 * num_turns + num_calls
    assert None not in entries(events["base-1"], EventKind.GENERATION_FINISHED, "prompt_hash")
    assert base.states() == spec.states()
    at_first = {task.task_id: timeless(state_of(tools_of(task))) for task in Keeper().tasks}
    assert all(base.states()[task_id] != state for task_id, state in at_first.items())  # something was written
    assert contents(runs["base-1"]) == contents(runs["spec-1"])
    check_what_ran_ahead(runs["spec-1"], tools_of(spec.tasks[0]) | tools_of(spec.tasks[1]))


def tools_of(task: Task) -> dict[str, Tool]:
    return {tool.name: tool for tool in task.make_tools()}


def contents(run: ArmRun) -> list[list[Observation]]:
    return [
        [replace(observation, duration_s=None) for turn in trajectory.turns for observation in turn.observations]
        for trajectory in trajectories_of(run)
    ]


def check_what_ran_ahead(run: ArmRun, tools: dict[str, Tool]) -> None:
    launched = entries(run.events, EventKind.EXECUTION_LAUNCHED, "name")
    assert {tools[name].effect for name in launched} <= {Effect.PURE, Effect.READ}
    refused = [event for event in run.events if event.kind is EventKind.EXECUTION_REFUSED]
    reasons = {(tools[event.data["name"]].effect, event.data["reason"]) for event in refused}
    assert reasons == {(Effect.WRITE, "effect write")}
    predicted = entries(run.events, EventKind.CALL_PREDICTED, "name")
    assert sorted(predicted) == sorted([*launched, *(event.data["name"] for event in refused)])
    ledger = Ledger.from_events(run.events)
    assert ledger.num_ready_hits > 0 and ledger.num_wasted > 0  # samples were right and wrong
    assert ledger.num_matched > ledger.num_used  # writers were predicted, too, and ran only when confirmed


SQUARE = Tool(
    name="square",
    description="Squares a number.",
    parameters={"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
    function=lambda x: {"x": x, "square": x * x},
    effect=Effect.PURE,
)
TWO_CALLS = tuple(ToolCall(name="square", arguments=f'{{"x": {x}}}') for x in (2, 3))
TWO_SQUARES = Task(
    task_id="two_squares",
    user_turns=(({"role": "user", "content": "Square 2 and 3."},),),
    make_tools=lambda: (SQUARE,),
)
TWO_CALLS_IN_A_TURN = RecordedTrajectory(
    task_id="two_squares",
    turns=(
        RecordedTurn(user_turn=0, reasoning="\nTwo calls.\n", content="\n\n", calls=TWO_CALLS),
        RecordedTurn(user_turn=0, reasoning="", content="4 and 9.", calls=()),
    ),
)


async def run_two_calls(name: str, client, renderer, target: VllmServer, *, is_reordered: bool = False) -> ArmRun:
    """Run the task with two calls in one turn; `is_reordered` gives each the observation of the other."""

    async def executor(tool: Tool, call: ToolCall, occurrence: int) -> Observation:
        if is_reordered:
            (call,) = (each for each in TWO_CALLS if each.arguments != call.arguments)
        return await run_tool(tool, call, occurrence)

    def make(*_: object) -> Participants:
        replay = ReplayTarget(client, TWO_CALLS_IN_A_TURN, renderer, new_salt())
        return Participants(target=replay, speculation=NoSpeculation(), executor=executor)

    run = await run_made(name, [TWO_SQUARES], [target], make)
    assert [trajectory.status for trajectory in trajectories_of(run)] == [Status.FINISHED]
    return run


async def test_observations_in_another_order_in_one_arm_are_noticed(client, renderer, target):
    base = await run_two_calls("base-1", client, renderer, target)
    again = await run_two_calls("spec-1", client, renderer, target)
    harmed = await run_two_calls("spec-2", client, renderer, target, is_reordered=True)
    assert check_identical({"base-1": base.events, "spec-1": again.events}).num_identical == 6
    with pytest.raises(MeasurementError, match=r"two_squares differs between run base-1 and run spec-2: \('observ"):
        check_identical({"base-1": base.events, "spec-1": again.events, "spec-2": harmed.events})
    hashes = [fingerprint(run.events)["two_squares"] for run in (base, harmed)]
    assert [ours == theirs for ours, theirs in zip(*hashes, strict=True)] == [True, True, False, False, False, True]
    assert contents(base)[0] == contents(harmed)[0][::-1]


async def test_settled_calls_that_change_places_in_the_events_are_noticed(client, renderer, target):
    base = await run_two_calls("base-1", client, renderer, target)
    first, second = (i for i, event in enumerate(base.events) if event.kind is EventKind.CALL_SETTLED)
    reordered = list(base.events)
    reordered[first], reordered[second] = reordered[second], reordered[first]
    with pytest.raises(MeasurementError, match="must be the same in every arm"):
        check_identical({"base-1": base.events, "spec-1": reordered})
