"""The launch policy: effects and the budget of a turn."""

import pytest

from precall.errors import ConfigError
from precall.policy import LaunchPolicy
from precall.tools import Effect
from tests.precall.worlds import World


def tool(effect):
    return World().tool("f", effect, 1.0)


@pytest.mark.parametrize(
    ("effect", "refusal"),
    [(Effect.PURE, None), (Effect.READ, None), (Effect.WRITE, "effect write"), (Effect.UNKNOWN, "effect unknown")],
)
def test_only_tools_that_leave_the_world_as_it_is_may_be_launched(effect, refusal):
    assert LaunchPolicy().refusal(tool(effect), 0) == refusal
    assert LaunchPolicy().allows(tool(effect)) == (refusal is None)


def test_a_tool_that_changes_a_workspace_may_be_launched_where_a_fork_is_at_hand_and_nowhere_else():
    world = World()
    with_fork, without = world.workspace_tool("f", 1.0, lambda state: None), tool(Effect.WORKSPACE)
    assert LaunchPolicy().refusal(with_fork, 0) is None
    assert LaunchPolicy().refusal(without, 0) == "effect workspace without a fork"
    assert LaunchPolicy(is_forking=False).refusal(with_fork, 0) == "effect workspace without a fork"
    assert [LaunchPolicy().allows(one) for one in (with_fork, without)] == [True, False]


def test_the_budget_refuses_the_execution_after_the_last_one():
    policy = LaunchPolicy(max_executions_per_turn=2)
    refusals = [policy.refusal(tool(Effect.PURE), num_launched) for num_launched in range(4)]
    assert refusals == [None, None, "budget of the turn", "budget of the turn"]


def test_a_budget_below_one_is_refused_and_named():
    message = "max_executions_per_turn is 0; it must be at least 1"
    with pytest.raises(ConfigError, match=message):
        LaunchPolicy(max_executions_per_turn=0)
