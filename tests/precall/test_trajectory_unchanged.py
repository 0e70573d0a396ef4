"""Property: speculation never changes a trajectory, whatever the draft says and whenever it says it."""

import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from precall.adaptive import AdaptiveSwitch
from precall.calls import ToolCall
from precall.drafts.oracle import OracleDraft
from precall.drafts.pattern import PatternDraft
from precall.drafts.pattern_memory import PatternMemory
from precall.events import EventKind
from precall.policy import LaunchPolicy
from precall.testing.scripted import ScriptedDraft, ScriptedGeneration, ScriptedSample, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect
from tests.precall.worlds import Run, World, run_engine, run_script, run_trajectory

SECONDS = st.integers(0, 32).map(lambda eighths: eighths / 8)
DRAFT_SECONDS = st.integers(0, 16).map(lambda eighths: eighths / 8)
NUMBERS = {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}}


def make_tools(world, seconds, can_fail):
    """Tools of every effect; if `can_fail`, some fail on some numbers and forks take time to make."""

    def double(x, y=0):
        if can_fail and x % 2:
            raise ValueError(f"{int(x)} is odd")
        return float(2 * x + y)

    def patch(state, x, **_):
        if can_fail and x == 2:
            state.append(-1)
            raise ValueError("half done")
        state.append(int(x) + 10 * len(state))
        return list(state)

    late = world.tool("late_read", Effect.READ, seconds["late_read"])

    async def read_at_the_end(**arguments):
        await late.function(**arguments)
        return list(world.state)

    tools = [
        world.tool("double", Effect.PURE, seconds["double"], double),
        world.tool("early_read", Effect.READ, seconds["early_read"], lambda **_: list(world.state)),
        replace(late, function=read_at_the_end),
        world.tool("write", Effect.WRITE, seconds["write"], lambda x, **_: world.state.append(int(x))),
        world.tool("count", Effect.UNKNOWN, seconds["count"], lambda **_: world.state.append(len(world.state))),
        world.workspace_tool("patch", seconds["patch"], patch, fork_s=seconds["patch"] / 4 * can_fail),
        world.workspace_tool("look", seconds["look"], lambda state, **_: list(state)),
    ]
    return [replace(tool, parameters=NUMBERS, timeout_s=3.0) for tool in tools]


TOOL_NAMES = ["double", "early_read", "late_read", "write", "count", "patch", "look"]


@st.composite
def calls(draw):
    name = draw(st.sampled_from(TOOL_NAMES * 3 + ["missing"]))
    if draw(st.integers(0, 15)) == 15:
        return ToolCall(name=name, arguments=draw(st.sampled_from(["{", "[]", '{"x": 1, "x": 1}', '{"z": 1}'])))
    return ToolCall(name=name, arguments=json.dumps({"x": draw(st.integers(0, 2)), "y": draw(st.integers(0, 1))}))


@st.composite
def rewritten(draw, call):
    """Return `call` as another model could write it: other white space, key order and form of a number."""
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        return call
    if not isinstance(arguments, dict):
        return call
    if draw(st.booleans()):
        arguments = {name: float(value) for name, value in reversed(arguments.items())}
    return replace(call, arguments=json.dumps(arguments, indent=draw(st.sampled_from([None, 1]))))


@st.composite
def samples(draw, target_calls):
    """Return a sample with some of the target's calls, in any order, among others."""
    predicted = [draw(rewritten(call)) for call in target_calls if draw(st.integers(0, 3)) < 3]
    predicted += draw(st.lists(calls(), max_size=2))
    failure = draw(st.sampled_from([None] * 7 + ["draft is gone"]))
    return ScriptedSample(delay_s=draw(DRAFT_SECONDS), calls=tuple(draw(st.permutations(predicted))), failure=failure)


@st.composite
def scripts(draw):
    turns = [*draw(st.lists(st.lists(calls(), min_size=1, max_size=4).map(tuple), min_size=1, max_size=4)), ()]
    generations = [ScriptedGeneration(duration_s=draw(SECONDS), calls=turn, content="text") for turn in turns]
    responses = [[generations[0]]]
    for generation in generations[1:]:
        if draw(st.booleans()):
            responses.append([])
        responses[-1].append(generation)
    predicted = [draw(st.lists(samples(turn), min_size=1, max_size=3)) for turn in turns]
    return responses, predicted


TOOL_SECONDS = st.fixed_dictionaries({name: SECONDS for name in TOOL_NAMES})


def run_both(script, seconds, budget, can_fail):
    responses, predicted = script
    runs, worlds = [], []
    for guesses in (None, predicted):
        world = World(state=[5])
        policy = LaunchPolicy(max_executions_per_turn=budget)
        tools = make_tools(world, seconds, can_fail)
        runs.append(run_virtual(run_script(responses, tools, guesses, policy=policy)))
        worlds.append(world)
    return runs, worlds


@settings(max_examples=120, deadline=None)
@given(scripts(), TOOL_SECONDS, st.integers(1, 4))
def test_speculation_never_changes_the_trajectory_nor_the_state(script, seconds, budget):
    (off, on), (world_off, world_on) = run_both(script, seconds, budget, can_fail=True)
    assert on.messages == off.messages
    for entry in ("name", "arguments", "is_error", "is_eligible", "observation_hash"):
        assert on.data(EventKind.CALL_SETTLED, entry) == off.data(EventKind.CALL_SETTLED, entry)
    assert world_on.state == world_off.state
    assert world_on.num_forks == 0


@settings(max_examples=60, deadline=None)
@given(scripts(), TOOL_SECONDS, st.integers(1, 4))
def test_both_balances_hold_and_say_what_the_world_saw(script, seconds, budget):
    (off, on), (_, world) = run_both(script, seconds, budget, can_fail=True)
    ledger = on.ledger  # raises when a balance does not hold
    assert off.ledger.num_launched == 0
    assert ledger.num_confirmed == off.ledger.num_confirmed == off.ledger.num_misses
    assert ledger.num_launched <= budget * len(on.turns)
    assert ledger.num_matched >= ledger.num_used
    # Every run that the world saw is an execution or a miss; an execution can be cancelled before it has begun.
    num_runs = sum(what == "start" for _, what, _, _ in world.log)
    assert num_runs <= ledger.num_launched + ledger.num_misses


REFUSALS = st.dictionaries(st.integers(0, 5), st.sampled_from([403, 410, None]), max_size=2)


@settings(max_examples=80, deadline=None)
@given(scripts(), TOOL_SECONDS, st.integers(1, 4), st.sampled_from([0.0, 0.125, 1.0]), st.integers(0, 3), REFUSALS)
def test_the_engine_side_never_changes_the_trajectory_nor_the_state(
    script, seconds, budget, post_delay_s, max_wait_s, refusals
):
    responses, predicted = script
    turns = [turn for response in responses for turn in response]
    policy = LaunchPolicy(max_executions_per_turn=budget)
    world_off, world_on = World(state=[5]), World(state=[5])
    off = run_virtual(run_script([[turn] for turn in turns], make_tools(world_off, seconds, can_fail=True)))
    options = {"post_delay_s": post_delay_s, "max_wait_s": float(max_wait_s), "refusals": refusals}
    tools = make_tools(world_on, seconds, can_fail=True)
    on, _ = run_virtual(run_engine(turns, tools, predicted, policy, **options))
    assert on.messages == off.messages
    for entry in ("name", "arguments", "is_error", "is_eligible", "observation_hash"):
        assert on.data(EventKind.CALL_SETTLED, entry) == off.data(EventKind.CALL_SETTLED, entry)
    assert world_on.state == world_off.state
    ledger = on.ledger  # raises when a balance does not hold
    num_runs = sum(what == "start" for _, what, _, _ in world_on.log)
    assert num_runs <= ledger.num_launched + ledger.num_misses


@settings(max_examples=60, deadline=None)
@given(scripts(), TOOL_SECONDS)
def test_speculation_costs_no_time_where_no_tool_fails(script, seconds):
    (off, on), _ = run_both(script, {name: min(value, 2.5) for name, value in seconds.items()}, 99, can_fail=False)
    if on.ledger.num_failed:
        return  # an execution that fails is run again, which may take longer than to run it once
    for end_on_s, end_off_s in zip(on.turn_ends_s, off.turn_ends_s, strict=True):
        assert end_on_s <= end_off_s + 1e-9


@st.composite
def streamed(draw, sample):
    """Return a sample whose calls are complete one after the other, before it is."""
    delays = draw(st.lists(DRAFT_SECONDS, max_size=len(sample.calls)))
    return replace(sample, call_delays_s=tuple(sorted(min(delay, sample.delay_s) for delay in delays)))


POLICIES = st.builds(
    LaunchPolicy,
    max_executions_per_turn=st.integers(1, 4),
    max_cost_per_trajectory=st.none() | st.floats(0.0, 6.0),
    is_forking=st.booleans(),
    can_reach_outside=st.booleans(),
)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "cost": st.floats(0.0, 3.0),
        "max_concurrency": st.integers(1, 2),
        "max_rate_per_s": st.sampled_from([1.0, 2.0, 3.5]),
        "can_reach_outside": st.booleans(),
    },
)
SWITCHES = st.none() | st.builds(
    AdaptiveSwitch,
    draft_price=st.floats(0.0, 2.0),
    tool_price=st.floats(0.0, 2.0),
    window=st.just(4),
    probe_share=st.floats(0.01, 1.0),
    seed=st.integers(0, 9),
)


def make_drafts(responses, predicted, alpha, seed):
    """Return drafts of every kind that know this script: scripted, oracle, and patterns of its own past run."""
    turns = [turn.calls for response in responses for turn in response]
    memory = PatternMemory()
    off = run_virtual(run_script(responses, make_tools(World(state=[5]), dict.fromkeys(TOOL_NAMES, 1.0), False)))
    for _ in range(3):
        memory.learn(off.messages)
    return [
        ScriptedDraft(turns=predicted),
        OracleDraft(turns, alpha=alpha, seed=seed, delay_s=0.5),
        PatternDraft(memory, num_calls=3, min_confidence=0.1),
    ]


def check_balances(run):
    """Check the ledger's two balances and what it counts beside them against each other."""
    ledger = run.ledger  # raises when a balance does not hold
    num_unrunnable = sum(ledger.num_refused_by_reason.get(reason, 0) for reason in ("no such tool", "malformed"))
    num_predicted = len(run.times_s(EventKind.CALL_PREDICTED))
    assert num_predicted + num_unrunnable == ledger.num_launched + ledger.num_refused
    assert ledger.num_drafted_turns + ledger.num_skipped_turns <= ledger.num_turns
    assert len(run.times_s(EventKind.DRAFT_ENDED)) == ledger.num_drafted_turns
    assert ledger.num_fired_turns <= ledger.num_turns_with_calls <= ledger.num_turns
    assert (
        0.0 <= ledger.saved_tool_s <= sum(run.data(EventKind.CALL_SETTLED, "duration_s")[i] or 0.0 for i in hits(run))
    )
    return ledger


def hits(run):
    return [index for index, outcome in enumerate(run.outcomes) if outcome != "miss"]


@settings(max_examples=120, deadline=None)
@given(st.data(), scripts(), TOOL_SECONDS, POLICIES, SWITCHES, st.floats(0.0, 1.0))
def test_no_policy_limit_switch_or_draft_changes_the_trajectory_and_the_balances_hold(
    data, script, seconds, policy, switch, alpha
):
    responses, predicted = script
    predicted = [[data.draw(streamed(sample)) for sample in samples] for samples in predicted]
    limits = {name: data.draw(LIMITS) for name in TOOL_NAMES}
    draft = data.draw(st.sampled_from(make_drafts(responses, predicted, alpha, seed=1)))
    world_off, world_on = World(state=[5]), World(state=[5])
    off_tools, on_tools = (
        [replace(tool, **limits[tool.name]) for tool in make_tools(world, seconds, can_fail=True)]
        for world in (world_off, world_on)
    )
    off = run_virtual(run_script(responses, off_tools))

    async def speculate():
        run = Run()
        await run_trajectory(run, ScriptedTarget(responses), on_tools, len(responses), draft, policy, switch=switch)
        return run

    on = run_virtual(speculate())
    assert on.messages == off.messages
    for entry in ("name", "arguments", "is_error", "observation_hash"):
        assert on.data(EventKind.CALL_SETTLED, entry) == off.data(EventKind.CALL_SETTLED, entry)
    assert world_on.state == world_off.state
    assert (world_on.num_forks, on.tasks_left) == (0, set())
    ledger = check_balances(on)
    assert ledger.num_launched <= policy.max_executions_per_turn * len(on.turns)
    if policy.max_cost_per_trajectory is not None:
        costs = {tool.name: tool.cost for tool in on_tools}
        ended = zip(on.data(EventKind.EXECUTION_ENDED, "name"), on.fates, strict=True)
        assert sum(costs[name] for name, fate in ended if fate != "used") <= policy.max_cost_per_trajectory + 1e-9
